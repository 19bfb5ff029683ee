"""How many problems are solved, and at what cost.

Problems are searched (`solve`), the searches become samples, one answer is chosen of the samples of
a problem, and the right answers are counted, with intervals.
"""

from rstar_fast.evaluate.accuracy import Accuracy, at_equal_tokens, choose, pass_share, selections
from rstar_fast.evaluate.path_votes import path_shares, path_vote
from rstar_fast.evaluate.price import price_for
from rstar_fast.evaluate.run import solve
from rstar_fast.evaluate.samples import Sample, best, likeliest, vote, within
from rstar_fast.evaluate.statistics import Paired, Share, paired, pass_at_k
from rstar_fast.evaluate.tree_samples import (
    path_samples,
    rescored,
    rescored_samples,
    search_samples,
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
    "path_shares",
    "path_vote",
    "price_for",
    "rescored",
    "rescored_samples",
    "search_samples",
    "selections",
    "solve",
    "vote",
    "within",
]
