"""Making a `Searcher` with all its engines from the names of models."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.models import INT8
from rstar_fast.models.lazy import import_local
from rstar_fast.search.naming import EMBEDDED, ModelName, parse_model_name
from rstar_fast.search.searcher import Searcher, step_runner
from rstar_fast.search.server_engines import check_server_options, server_policy, server_scorer
from rstar_fast.search.vllm_engines import memory_shares, vllm_policy, vllm_scorer
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
    tokenizer: str | Path | None = None,
    ppm_folder: str | Path | None = None,
) -> Iterator[Searcher]:
    """Load models, start worker processes, and yield the searcher over them.

    The processes end with the context.

    Args:
        config: Configuration of the search.
        policy: Folder or hub name of a causal language model, "embedded", either with "vllm:" in
            front to have vLLM run it, or the name of a server's model as in `parse_model_name`. The
            embedded policy sets torch to one thread for the rest of the process.
        ppm: Folder or hub name of a PPM, "embedded", either with "vllm:" in front, or the name of a
            server's model. Needed exactly if `config.use_scores`.
        workers: Number of processes that run steps, >= 1. None for one per core.
        device: Device of both models, as in "cuda:0". None for a GPU where there is one.
        dtype: Type of both models' weights, one of `rstar_fast.models.DTYPES`. None for each
            engine's default; the embedded policy's is float32. "int8" is for the policy alone, if
            it is a `TransformersPolicy` on a CPU; the PPM has its default then.
        max_rows: Number of candidates that the policy writes at once, >= 1. None for the engine's
            default. For a server it is the number of requests at once.
        policy_memory: Share of a GPU's memory that vLLM may take for the policy, in (0, 1]. None
            for a share that leaves room for the PPM.
        ppm_memory: The same for the PPM.
        require_isolation: Whether this machine must be able to confine the programs of steps.
        tokenizer: Folder or hub name of the tokenizer of a server's policy. None for the one in the
            folder that the model is named after, if there is such a folder.
        ppm_folder: Folder or hub name of a server's PPM, for its tokenizer and constants. None for
            the model's name.

    Raises:
        ConfigError: The device or the dtype does not exist here, vLLM is not installed, or an
            option is for servers or vLLM and none is used.
        IsolationError: Isolation is required, and this machine does not permit it.
        PolicyError: The policy cannot be loaded.
        ScoreError: The PPM cannot be loaded, or its attention cannot be replaced.
        TransientError: A server does not answer.
    """
    name = parse_model_name(policy)
    is_embedded = name.engine != "server" and name.model == EMBEDDED
    if is_embedded:
        # As fast as other types at this size, and the trees do not change with the batch.
        dtype = dtype or "float32"
    options: dict[str, Any] = {"device": device, "dtype": dtype, "max_rows": max_rows}
    scorer_name = None if ppm is None else parse_model_name(ppm)
    if dtype == INT8 and name.engine in ("server", "vllm"):
        raise ConfigError(
            f"dtype {INT8}: expected a model folder, a hub name or embedded as policy, got {policy}"
        )
    of_scorer = options | {"dtype": None if dtype == INT8 else dtype}
    check_server_options(name, scorer_name, tokenizer, ppm_folder)
    shares = memory_shares(name, scorer_name, policy_memory, ppm_memory)
    with ExitStack() as stack:
        if is_embedded:
            # Two threads make such a small model slower, on shared cores several times.
            import_local("set_num_threads", "torch")(1)
        writer: Any
        scorer: Any = None
        if name.engine == "server":
            writer = stack.enter_context(closing(server_policy(name, tokenizer, max_rows)))
        elif name.engine == "vllm":
            with_share = options | {"memory_share": shares[0]}
            writer = stack.enter_context(closing(vllm_policy(name, config.prompt, with_share)))
        else:
            writer = _open_policy(name, config, options)
        if scorer_name is None:
            pass
        elif scorer_name.engine == "server":
            scorer = stack.enter_context(closing(server_scorer(scorer_name, ppm_folder)))
        elif scorer_name.engine == "vllm":
            with_share = of_scorer | {"memory_share": shares[1]}
            scorer = stack.enter_context(closing(vllm_scorer(scorer_name, with_share)))
        else:
            scorer = _open_scorer(scorer_name, of_scorer)
        runner = stack.enter_context(step_runner(config, workers, require_isolation))
        verifier = stack.enter_context(SourceVerifier(limit_s=config.grade_limit_s))
        searcher = Searcher(writer, config, scorer, runner=runner, verifier=verifier)
        yield stack.enter_context(searcher)


def _open_policy(name: ModelName, config: SearchConfig, options: dict[str, Any]) -> Any:
    """Return the policy of a name."""
    from rstar_fast.policy import TransformersPolicy

    rows = {} if options["max_rows"] is None else {"max_rows": options["max_rows"]}
    with _no_progress_bars():
        return TransformersPolicy(
            name.folder("policy"),
            prompt=config.prompt,
            device=options["device"],
            dtype=options["dtype"],
            **rows,
        )


def _open_scorer(name: ModelName, options: dict[str, Any]) -> Any:
    """Return the scorer of a name."""
    from rstar_fast.ppm import PPM, PackedScorer

    with _no_progress_bars():
        return PackedScorer(
            PPM.from_pretrained(
                name.folder("ppm"), device=options["device"], dtype=options["dtype"]
            )
        )


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
