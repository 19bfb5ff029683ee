"""How many problems are solved, and at what cost.

Problems are searched (`solve`), the searches become samples, one answer is chosen of the samples of
a problem, and the right answers are counted, with intervals.
"""

from rstar_fast.evaluate.accuracy import Accuracy, at_equal_tokens, choose, pass_share, selections
from rstar_fast.evaluate.measured import (
    Measured,
    measure,
    sample_methods,
    scored_sample_methods,
    search_methods,
)
from rstar_fast.evaluate.path_votes import path_shares, path_vote
from rstar_fast.evaluate.pooling import Pooled, pooled
from rstar_fast.evaluate.price import price_for
from rstar_fast.evaluate.run import independent, solve
from rstar_fast.evaluate.samples import Sample, best, likeliest, unscored, vote, within
from rstar_fast.evaluate.statistics import Paired, Share, paired, pass_at_k
from rstar_fast.evaluate.stopping import Moment, Stopped, calibration, moments, stopped_at
from rstar_fast.evaluate.timelines import (
    Known,
    known_by,
    sample_timeline,
    search_timeline,
    tree_timeline,
)
from rstar_fast.evaluate.tree_samples import (
    path_samples,
    rescored,
    rescored_samples,
    search_samples,
)

__all__ = [
    "Accuracy",
    "Known",
    "Measured",
    "Moment",
    "Paired",
    "Pooled",
    "Sample",
    "Share",
    "Stopped",
    "at_equal_tokens",
    "best",
    "calibration",
    "choose",
    "independent",
    "known_by",
    "likeliest",
    "measure",
    "moments",
    "paired",
    "pass_at_k",
    "pass_share",
    "path_samples",
    "path_shares",
    "path_vote",
    "pooled",
    "price_for",
    "rescored",
    "rescored_samples",
    "sample_methods",
    "sample_timeline",
    "scored_sample_methods",
    "search_methods",
    "search_samples",
    "search_timeline",
    "selections",
    "solve",
    "stopped_at",
    "tree_timeline",
    "unscored",
    "vote",
    "within",
]
