"""From the names of models to a `Searcher` with all its engines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.search.searcher import Searcher, step_runner
from rstar_fast.verify.grade.by_source import SourceVerifier

if TYPE_CHECKING:
    import torch

EMBEDDED = "embedded"
"""Stands for the package's own policy and PPM."""
DTYPES = ("float32", "bfloat16", "float16")


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
) -> Iterator[Searcher]:
    """Load models, start worker processes, and give the searcher over them; the processes end with the context.

    Args:
        config: how to search.
        policy: folder or hub name of a causal language model, or "embedded" (which sets torch to one thread for good).
        ppm: folder or hub name of a PPM, or "embedded"; needed if, and only if, `config.use_scores`.
        workers: processes that run steps, >= 1; None for one per core.
        device: of both models, such as "cuda:0"; None for a GPU where there is one.
        dtype: of both models' weights, one of `DTYPES`; None for each engine's own default (float32 for the embedded policy).
        max_rows: candidates the policy writes at once, >= 1; None for its own default.

    Raises:
        ConfigError: no such dtype.
        PolicyError: the policy cannot be loaded.
        ScoreError: the PPM cannot be loaded, or its attention not replaced by ours.
    """
    import torch

    from rstar_fast.policy import TransformersPolicy
    from rstar_fast.ppm import PPM, PackedScorer

    if str(policy) == EMBEDDED:
        torch.set_num_threads(
            1
        )  # so small a model loses by more, on shared cores several times over
        dtype = (
            dtype or "float32"
        )  # as fast at this size, and its trees do not change with the batch
    models: dict[str, Any] = {"device": device, "dtype": None if dtype is None else _dtype(dtype)}
    rows: dict[str, Any] = {} if max_rows is None else {"max_rows": max_rows}
    with _no_progress_bars():
        engine = TransformersPolicy(
            _found(policy, "policy"), prompt=config.prompt, **models, **rows
        )
        scorer = (
            None if ppm is None else PackedScorer(PPM.from_pretrained(_found(ppm, "ppm"), **models))
        )
    with (
        step_runner(config, workers) as runner,
        SourceVerifier(limit_s=config.grade_limit_s) as verifier,
        Searcher(engine, config, scorer, runner=runner, verifier=verifier) as searcher,
    ):
        yield searcher


def _found(model: str | Path, role: str) -> str | Path:
    """The folder or name to load a model from."""
    if str(model) != EMBEDDED:
        return model
    from rstar_fast.embedded import policy_path, ppm_path

    return policy_path() if role == "policy" else ppm_path()


def _dtype(name: str) -> "torch.dtype":
    import torch

    if name not in DTYPES:
        raise ConfigError(f"dtype: expected one of {', '.join(DTYPES)}, got {name!r}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Without transformers' bars: weights of a folder load in seconds, and bars don't belong into logs."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
