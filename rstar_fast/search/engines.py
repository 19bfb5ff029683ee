"""Making a `Searcher` with all its engines from the names of models."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.policy.base import AsyncPolicy, Policy
from rstar_fast.ppm.base import AsyncScorer, Scorer
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
    require_isolation: bool = False,
    tokenizer: str | Path | None = None,
    ppm_folder: str | Path | None = None,
) -> Iterator[Searcher]:
    """Load models, start worker processes, and yield the searcher over them.

    The processes end with the context.

    Args:
        config: Configuration of the search.
        policy: Folder or hub name of a causal language model, "embedded", or the name of a server's
            model as in `parse_model_name`. The embedded policy sets torch to one thread for the
            rest of the process.
        ppm: Folder or hub name of a PPM, "embedded", or the name of a server's model. Needed
            exactly if `config.use_scores`.
        workers: Number of processes that run steps, >= 1. None for one per core.
        device: Device of both models, as in "cuda:0". None for a GPU where there is one.
        dtype: Type of both models' weights, one of `rstar_fast.models.DTYPES`. None for each
            engine's default; the embedded policy's is float32.
        max_rows: Number of candidates that the policy writes at once, >= 1. None for the engine's
            default. For a server it is the number of requests at once.
        require_isolation: Whether this machine must be able to confine the programs of steps.
        tokenizer: Folder or hub name of the tokenizer of a server's policy. None for the one in the
            folder that the model is named after, if there is such a folder.
        ppm_folder: Folder or hub name of a server's PPM, for its tokenizer and constants. None for
            the model's name.

    Raises:
        ConfigError: The device or the dtype does not exist here. Or an option is for servers, and
            no server is used.
        IsolationError: Isolation is required, and this machine does not permit it.
        PolicyError: The policy cannot be loaded.
        ScoreError: The PPM cannot be loaded, or its attention cannot be replaced.
        TransientError: A server does not answer.
    """
    name = parse_model_name(policy)
    if name == ("local", EMBEDDED, ()):
        import torch

        # Two threads make such a small model slower, on shared cores several times.
        torch.set_num_threads(1)
        # As fast as other types at this size, and the trees do not change with the batch.
        dtype = dtype or "float32"
    scorer_name = None if ppm is None else parse_model_name(ppm)
    options = _Options(device, dtype, max_rows, tokenizer, ppm_folder)
    _check_options(options, name, scorer_name)
    with ExitStack() as stack:
        writer = _open_policy(name, config, options, stack)
        scorer = None if scorer_name is None else _open_scorer(scorer_name, options, stack)
        runner = stack.enter_context(step_runner(config, workers, require_isolation))
        verifier = stack.enter_context(SourceVerifier(limit_s=config.grade_limit_s))
        searcher = Searcher(writer, config, scorer, runner=runner, verifier=verifier)
        yield stack.enter_context(searcher)


class _Options(NamedTuple):
    """Options of models, see `open_searcher`."""

    device: str | None
    dtype: str | None
    max_rows: int | None
    tokenizer: str | Path | None
    ppm_folder: str | Path | None


def _check_options(options: _Options, policy: ModelName, ppm: ModelName | None) -> None:
    """Refuse options that the engines do not heed."""
    if options.tokenizer is not None and policy.engine != "server":
        raise ConfigError("tokenizer: expected the policy of a server, the only one that needs it")
    if options.ppm_folder is not None and (ppm is None or ppm.engine != "server"):
        raise ConfigError("ppm_folder: expected the PPM of a server, the only one that needs it")


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def _open_policy(
    name: ModelName, config: SearchConfig, options: _Options, stack: ExitStack
) -> Policy | AsyncPolicy:
    """Return the policy of a name. It is closed with the stack."""
    if name.engine == "vllm":
        raise ConfigError("policy: vllm is no engine for policies yet")
    if name.engine == "server":
        from rstar_fast.policy import ServerPolicy

        tokenizer = options.tokenizer or (name.model if Path(name.model).is_dir() else None)
        places: dict[str, Any] = (
            {} if options.max_rows is None else {"concurrency": options.max_rows}
        )
        return stack.enter_context(
            closing(
                ServerPolicy(
                    name.addresses, name.model, tokenizer=tokenizer and str(tokenizer), **places
                )
            )
        )
    from rstar_fast.policy import TransformersPolicy

    source = name.model
    if name.model == EMBEDDED:
        from rstar_fast.embedded import policy_path

        source = str(policy_path())
    with _no_progress_bars():
        return TransformersPolicy(
            source,
            prompt=config.prompt,
            device=options.device,
            dtype=options.dtype,
            **_given(max_rows=options.max_rows),
        )


def _open_scorer(name: ModelName, options: _Options, stack: ExitStack) -> Scorer | AsyncScorer:
    """Return the scorer of a name. It is closed with the stack."""
    if name.engine == "vllm":
        raise ConfigError("ppm: vllm is no engine for PPMs yet")
    if name.engine == "server":
        from rstar_fast.ppm import ServerScorer

        folder = options.ppm_folder or name.model
        return stack.enter_context(closing(ServerScorer(name.addresses, name.model, folder)))
    from rstar_fast.ppm import PPM, PackedScorer

    source = name.model
    if name.model == EMBEDDED:
        from rstar_fast.embedded import ppm_path

        source = str(ppm_path())
    with _no_progress_bars():
        return PackedScorer(PPM.from_pretrained(source, device=options.device, dtype=options.dtype))


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
