"""Finished trees as samples for trainers of policies, exact in token ids.

Nothing here needs torch. `docs/trainers.md` has the rules of credit and what they cost.
"""

from rstar_fast.training_samples.choosing import choose_leaves
from rstar_fast.training_samples.credit import Credit
from rstar_fast.training_samples.packing import PackedSamples, pack_samples
from rstar_fast.training_samples.sample import Sample, samples
from rstar_fast.training_samples.values import TreeValues

__all__ = [
    "Credit",
    "PackedSamples",
    "Sample",
    "TreeValues",
    "choose_leaves",
    "pack_samples",
    "samples",
]
