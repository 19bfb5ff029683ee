"""How many problems are solved, and at what price: running, choosing answers, counting with intervals."""

from typing import TYPE_CHECKING, Any

from rstar_fast.evaluate.accuracy import Accuracy, at_equal_tokens, choose, pass_share, selections
from rstar_fast.evaluate.samples import Sample, best, likeliest, vote, within
from rstar_fast.evaluate.statistics import Paired, Share, paired, pass_at_k

if TYPE_CHECKING:
    from rstar_fast.evaluate.run import (
        path_samples,
        rescored,
        rescored_samples,
        search_samples,
        solve,
    )

__all__ = [
    "Accuracy",
    "Paired",
    "Sample",
    "Share",
    "at_equal_tokens",
    "best",
    "choose",
    "likeliest",
    "paired",
    "pass_at_k",
    "pass_share",
    "path_samples",
    "rescored",
    "rescored_samples",
    "search_samples",
    "selections",
    "solve",
    "vote",
    "within",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rstar_fast.evaluate import run

    return getattr(run, name)
