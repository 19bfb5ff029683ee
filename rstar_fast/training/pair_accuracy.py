"""How often a PPM orders the pairs of held-out problems rightly; and how often likelihood alone would."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rstar_fast.data.pairs import PairGroup
from rstar_fast.errors import DataError
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.texts import Texts
from rstar_fast.training.objectives import policy_shifts
from rstar_fast.training.token_trees import micro_batches, pack_trees, pair_trees

_BATCH_TOKENS = 16384


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """Of pairs in the right order.

    Attributes:
        pairs: that were compared.
        right: whose preferred one has the higher value; equal values count half.
        left_out: pairs that could not be compared: too long for the model, or without a likelihood.
    """

    pairs: int
    right: float
    left_out: int = 0

    @property
    def accuracy(self) -> float:
        """Share in the right order, in [0, 1]; 0.5 is chance."""
        return self.right / self.pairs


def pair_accuracy(ppm: PPM, groups: Sequence[PairGroup]) -> PairAccuracy:
    """Compare by a model's values; every token of a problem goes through it once.

    Raises:
        DataError: there is no pair that the model can take.
        ScoreError: its attention cannot be replaced.
    """
    model = PackedModel(ppm)
    trees, left_out = pair_trees(groups, Texts(ppm, model.max_tokens))
    pairs, right = 0, 0.0
    with torch.inference_mode():
        for batch in micro_batches(trees, _BATCH_TOKENS):
            packed = pack_trees(batch)
            values = model.values(packed.packed).tolist()
            for one, others, _, margins in packed.comparisons:
                pairs += len(others)
                shifts = policy_shifts(margins, ppm.likelihood)
                right += sum(
                    _order(values[one] + shift, values[other])
                    for other, shift in zip(others, shifts, strict=True)
                )
    return _result(pairs, right, left_out)


def likelihood_accuracy(groups: Sequence[PairGroup]) -> PairAccuracy:
    """Compare by the log-probability of the tokens, as the policy that wrote them reported it: the control of a PPM.

    Raises:
        DataError: there is no pair of which both sides have one.
    """
    pairs, right, left_out = 0, 0.0, 0
    for group in groups:
        for i, j in group.pairs:
            one, other = group.chosen_logprob[i], group.rejected_logprob[j]
            if one is None or other is None:
                left_out += 1
            else:
                pairs += 1
                right += _order(one, other)
    return _result(pairs, right, left_out)


def _order(one: float, other: float) -> float:
    return 0.5 if one == other else float(one > other)


def _result(pairs: int, right: float, left_out: int) -> PairAccuracy:
    if not pairs:
        raise DataError(f"expected pairs to compare, got none; {left_out} were left out")
    return PairAccuracy(pairs, right, left_out)
