"""vLLM's engine, run in this process."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict, TypeVar, Unpack

from rstar_fast.errors import ConfigError, RStarError

_T = TypeVar("_T")

_ENVIRONMENT = {
    # The engine's core in this process: a step is a call, and begins no process.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Defaults of vLLM's environment variables. What the environment says wins."""

CPU_BLOCK_TOKENS = 32
"""Smallest block of vLLM's CPU build. Only whole blocks are shared, and steps are short."""
CPU_CACHE_BYTES = 1 << 30
"""Size of the keys and values on a CPU, where vLLM would take nearly all memory."""
GPU_SHARE = 0.9
"""Share of a GPU's memory that an engine takes if nothing else is said."""


_THREAD = ThreadPoolExecutor(1, "vLLM of rstar_fast")

_OPEN: list[Any] = []
_CLOSED: list[Any] = []
"""Engines that have ended, but still hold their memory: ending one ends what all others need."""


def in_engine_thread(call: Callable[[], _T]) -> _T:
    """Make a call in the thread in which all engines of this process are loaded and run.

    vLLM keeps the state of a forward in global variables, so two engines of one process take turns:
    calls are made in the order in which they came. Its CPU build also plans attention for a number
    of OpenMP threads, and every thread of Python has such a number of its own. An engine that moved
    between threads could be planned for one number and run with another.

    Args:
        call: Function without arguments.

    Returns:
        What it returns. What it raises is raised here.
    """
    return _THREAD.submit(call).result()


def import_vllm() -> Any:
    """Import vLLM, with the defaults of its environment variables that an engine here needs.

    Raises:
        ConfigError: It is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import vllm
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise ConfigError(
            'vLLM is not installed: pip install "rstar-fast[vllm]" for a GPU; '
            "docs/engines.md says how for a CPU"
        ) from error
    return vllm


class VLLMOptions(TypedDict, total=False):
    """Options of an engine of vLLM's in this process. `VLLMPolicy` and `VLLMScorer` take them.

    Attributes:
        device: Type of the device, "cuda" or "cpu". None for that of vLLM's build.
            CUDA_VISIBLE_DEVICES chooses a GPU.
        max_rows: Largest number of sequences that are run at the same time, >= 1. None for vLLM's
            default.
        memory_share: Share of the GPU's memory for weights, keys and values, in (0, 1]. None for
            `GPU_SHARE`. Means nothing on a CPU.
        cache_bytes: Size of the keys and values, bytes. None for what is left of the share on a
            GPU, and `CPU_CACHE_BYTES` on a CPU.
        block_size: Number of tokens of a block of the prefix cache. None for vLLM's default on a
            GPU (16), and `CPU_BLOCK_TOKENS` on a CPU, where it must be a multiple of that.
        engine: Further arguments of `vllm.EngineArgs`, such as `tensor_parallel_size`. They win.
    """

    device: str | None
    max_rows: int | None
    memory_share: float | None
    cache_bytes: int | None
    block_size: int | None
    engine: Mapping[str, Any] | None


def start_engine(
    model: str,
    error_type: type[RStarError],
    arguments: Mapping[str, Any],
    **options: Unpack[VLLMOptions],
) -> Any:
    """Start an engine of vLLM's in this process. It lives until `stop_engine`.

    Args:
        model: Folder or hub name.
        error_type: Type of the error if it cannot be loaded.
        arguments: Arguments of `vllm.EngineArgs` for engines of this kind.
        options: See `VLLMOptions`.

    Returns:
        The `vllm.LLMEngine`.

    Raises:
        ConfigError: vLLM is not installed, its build runs on another device, or there is no such
            option.
        RStarError: `max_rows` is out of range, or vLLM cannot load the model. The error is an
            `error_type`.
    """
    if unknown := options.keys() - VLLMOptions.__annotations__.keys():
        known = ", ".join(VLLMOptions.__annotations__)
        raise ConfigError(f"vLLM: expected the options {known}, got {', '.join(sorted(unknown))}")
    max_rows = options.get("max_rows")
    if max_rows is not None and max_rows < 1:
        raise error_type(f"max_rows: expected at least 1, got {max_rows}")
    vllm = import_vllm()
    from vllm.platforms import current_platform

    kind = str(current_platform.device_type)
    device = options.get("device")
    if device is not None and str(device) != kind:
        raise ConfigError(
            f"device {device}: vLLM's build here runs on {kind!r}; "
            "CUDA_VISIBLE_DEVICES says on which GPU"
        )
    share = options.get("memory_share")
    share = GPU_SHARE if share is None else share
    if not 0 < share <= 1:
        raise ConfigError(f"memory_share: expected a number in (0, 1], got {share}")
    defaults: dict[str, Any] = {
        "enable_prefix_caching": True,
        "gpu_memory_utilization": share,
        # The longest text that the keys and values have room for.
        "max_model_len": -1,
        # Tokens go in and out.
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "max_num_seqs": max_rows,
        "block_size": options.get("block_size"),
        "kv_cache_memory_bytes": options.get("cache_bytes"),
    }
    if kind == "cpu":
        # Compiling takes longer than a small model runs.
        defaults["enforce_eager"] = True
        # A prompt that is read in two steps breaks vLLM there: it draws too early, and cannot take
        # a draw back from a seeded generator of the CPU ("CPU Generator does not use offset").
        defaults["enable_chunked_prefill"] = False
        defaults["block_size"] = options.get("block_size") or CPU_BLOCK_TOKENS
        defaults["kv_cache_memory_bytes"] = options.get("cache_bytes") or CPU_CACHE_BYTES
    chosen = {**defaults, **arguments, **(options.get("engine") or {})}
    try:
        started = in_engine_thread(
            lambda: vllm.LLMEngine.from_engine_args(vllm.EngineArgs(model=model, **chosen))
        )
    except Exception as error:
        raise error_type(f"{model}: vLLM could not load it: {error}") from error
    _OPEN.append(started)
    return started


def stop_engine(engine: Any) -> None:
    """End an engine. Its memory comes back when the last engine of this process ends.

    Args:
        engine: Engine of `start_engine`.
    """
    _OPEN.remove(engine)
    _CLOSED.append(engine)
    if not _OPEN:
        for one in _CLOSED:
            one.engine_core.shutdown()
        _CLOSED.clear()
