"""Making a `Searcher` with all its engines from the names of models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.search.naming import EMBEDDED, ModelName, parse_model_name
from rstar_fast.search.searcher import Searcher, step_runner
from rstar_fast.verify.grade.by_source import SourceVerifier


@contextmanager
def open_searcher(
    config: SearchConfig,
    policy: str | Path,
    ppm: str | Path | None = None,
    *,
    workers: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    max_rows: int | None = None,
    policy_memory: float | None = None,
    ppm_memory: float | None = None,
    require_isolation: bool = False,
) -> Iterator[Searcher]:
    """Load models, start worker processes, and yield the searcher over them.

    The processes end with the context.

    Args:
        config: Configuration of the search.
        policy: Folder or hub name of a causal language model, or "embedded". The embedded policy
            sets torch to one thread for the rest of the process. "vllm:" in front of it has vLLM
            run it.
        ppm: Folder or hub name of a PPM, or "embedded", with or without "vllm:". Needed exactly if
            `config.use_scores`.
        workers: Number of processes that run steps, >= 1. None for one per core.
        device: Device of both models, as in "cuda:0". None for a GPU where there is one.
        dtype: Type of both models' weights, one of `rstar_fast.models.DTYPES`. None for each
            engine's default; the embedded policy's is float32.
        max_rows: Number of candidates that the policy writes at once, >= 1. None for the engine's
            default.
        policy_memory: Share of a GPU's memory that vLLM may take for the policy, in (0, 1]. None
            for a share that leaves room for the PPM.
        ppm_memory: The same for the PPM.
        require_isolation: Whether this machine must be able to confine the programs of steps.

    Raises:
        ConfigError: The device or the dtype does not exist here, vLLM is not installed, or memory
            is shared out to an engine that is not vLLM.
        IsolationError: Isolation is required, and this machine does not permit it.
        PolicyError: The policy cannot be loaded.
        ScoreError: The PPM cannot be loaded, or its attention cannot be replaced.
    """
    name = parse_model_name(policy)
    if name.model == EMBEDDED:
        import torch

        # Two threads make such a small model slower, on shared cores several times.
        torch.set_num_threads(1)
        # As fast as other types at this size, and the trees do not change with the batch.
        dtype = dtype or "float32"
    options: dict[str, Any] = {"device": device, "dtype": dtype, "max_rows": max_rows}
    scorer_name = None if ppm is None else parse_model_name(ppm)
    shares = memory_shares(name, scorer_name, policy_memory, ppm_memory)
    writer = _open_policy(name, config, options | {"memory_share": shares[0]})
    scorer = None
    if scorer_name is not None:
        scorer = _open_scorer(scorer_name, options | {"memory_share": shares[1]})
    with (
        step_runner(config, workers, require_isolation) as runner,
        SourceVerifier(limit_s=config.grade_limit_s) as verifier,
        Searcher(writer, config, scorer, runner=runner, verifier=verifier) as searcher,
    ):
        yield searcher


def _open_policy(name: ModelName, config: SearchConfig, options: dict[str, Any]) -> Any:
    """Return the policy of a name."""
    if name.engine == "vllm":
        from rstar_fast.policy import VLLMPolicy

        return VLLMPolicy(_folder(name, "policy"), prompt=config.prompt, **options)
    if name.engine != "local":
        raise ConfigError(f"policy: {name.engine} is no engine for policies yet")
    from rstar_fast.policy import TransformersPolicy

    rows = {} if options["max_rows"] is None else {"max_rows": options["max_rows"]}
    with _no_progress_bars():
        return TransformersPolicy(
            _folder(name, "policy"),
            prompt=config.prompt,
            device=options["device"],
            dtype=options["dtype"],
            **rows,
        )


def _open_scorer(name: ModelName, options: dict[str, Any]) -> Any:
    """Return the scorer of a name."""
    if name.engine == "vllm":
        from rstar_fast.ppm import VLLMScorer

        # How many candidates are written at once says nothing of how many are scored.
        return VLLMScorer(_folder(name, "ppm"), **(options | {"max_rows": None}))
    if name.engine != "local":
        raise ConfigError(f"ppm: {name.engine} is no engine for PPMs yet")
    from rstar_fast.ppm import PPM, PackedScorer

    with _no_progress_bars():
        return PackedScorer(
            PPM.from_pretrained(
                _folder(name, "ppm"), device=options["device"], dtype=options["dtype"]
            )
        )


def _folder(name: ModelName, role: Literal["policy", "ppm"]) -> str:
    """Return the folder or hub name of a model that runs in this process."""
    if name.model != EMBEDDED:
        return name.model
    from rstar_fast.embedded import policy_path, ppm_path

    return str(policy_path() if role == "policy" else ppm_path())


def memory_shares(
    policy: ModelName, ppm: ModelName | None, policy_share: float | None, ppm_share: float | None
) -> tuple[float | None, float | None]:
    """Return which share of a GPU's memory vLLM may take for the policy, and for the PPM.

    Each engine takes its share when it is loaded. None stands for vLLM's default, and for an engine
    that is not vLLM.

    Args:
        policy: Policy.
        ppm: PPM, or None.
        policy_share: Share that was asked for the policy. None for a good one.
        ppm_share: The same for the PPM.

    Raises:
        ConfigError: A share is asked for an engine that is not vLLM.
    """
    for role, name, share in (("policy", policy, policy_share), ("ppm", ppm, ppm_share)):
        if share is not None and (name is None or name.engine != "vllm"):
            raise ConfigError(f"{role}_memory: only vLLM takes a share, as in {role} vllm:DIR")
    local = {name.engine for name in (policy, ppm) if name is not None and name.engine != "server"}
    if ppm is None or "server" in (policy.engine, ppm.engine) or "vllm" not in local:
        return policy_share, ppm_share
    # The policy has many texts under way, the PPM only their ends.
    if local == {"vllm"}:
        return policy_share or 0.55, ppm_share or 0.3
    if policy.engine == "vllm":
        return policy_share or 0.6, None
    return None, ppm_share or 0.4


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Hide the progress bars of transformers: local weights load in seconds."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
