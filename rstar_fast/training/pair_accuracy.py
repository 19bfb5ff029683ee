"""The share of held-out pairs that a PPM, or likelihood alone, puts in the right order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from rstar_fast.data import PairGroup
from rstar_fast.errors import DataError
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.texts import Texts
from rstar_fast.training.examples import pair_trees
from rstar_fast.training.objectives import policy_shifts
from rstar_fast.training.token_trees import micro_batches, pack_trees

_BATCH_TOKENS = 16384


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """Pairs in the right order, among all that were compared.

    Attributes:
        pairs: Number of pairs that were compared.
        right: Number of pairs whose preferred side has the higher value. Equal values count half.
        left_out: Number of pairs that could not be compared, as they are too long for the model or
            have no likelihood.
    """

    pairs: int
    right: float
    left_out: int = 0

    @property
    def accuracy(self) -> float:
        """Share of pairs in the right order, in [0, 1]. Chance gives 0.5."""
        return self.right / self.pairs


def pair_accuracy(ppm: PPM, groups: Sequence[PairGroup]) -> PairAccuracy:
    """Compare the sides of pairs by the values that a PPM gives them.

    Every token of a problem goes through the model once.

    Args:
        ppm: The PPM.
        groups: Groups of pairs.

    Raises:
        DataError: The model can take no pair, or it weighs likelihood and a pair has none.
        ScoreError: The model's attention cannot be replaced.
    """
    found, left_out = pair_differences(ppm, groups)
    shifts = policy_shifts([one.logprob for one in found], ppm.likelihood)
    orders = [_order(one.value + shift, 0.0) for one, shift in zip(found, shifts, strict=True)]
    return _result(len(found), sum(orders), left_out)


class PairDifference(NamedTuple):
    """The preferred side of a pair less the other.

    Attributes:
        value: Difference of the values that a PPM's head gives.
        logprob: Difference of the log-probabilities under the policy, nats. None where one is not
            known.
        weight: Weight of the pair in a loss.
    """

    value: float
    logprob: float | None
    weight: float


def pair_differences(ppm: PPM, groups: Sequence[PairGroup]) -> tuple[list[PairDifference], int]:
    """Return the differences of pairs, and the number of pairs that are too long for the model.

    Raises:
        ScoreError: The model's attention cannot be replaced.
    """
    model = PackedModel(ppm)
    trees, left_out = pair_trees(groups, Texts(ppm, model.max_tokens))
    found: list[PairDifference] = []
    with torch.inference_mode():
        for batch in micro_batches(trees, _BATCH_TOKENS):
            packed = pack_trees(batch)
            values = model.values(packed.packed).tolist()
            for preferred, others, weight, margins in packed.comparisons:
                found += [
                    PairDifference(values[preferred] - values[other], margin, weight)
                    for other, margin in zip(others, margins, strict=True)
                ]
    return found, left_out


def likelihood_accuracy(groups: Sequence[PairGroup]) -> PairAccuracy:
    """Compare the sides of pairs by their log-probability under the policy that wrote them.

    This is the control of a PPM: what the policy itself prefers.

    Args:
        groups: Groups of pairs. Pairs are left out if a log-probability is not known.

    Raises:
        DataError: No pair has a log-probability on both sides.
    """
    pairs, right, left_out = 0, 0.0, 0
    for group in groups:
        for i, j in group.pairs:
            preferred, other = group.chosen_logprob[i], group.rejected_logprob[j]
            if preferred is None or other is None:
                left_out += 1
            else:
                pairs += 1
                right += _order(preferred, other)
    return _result(pairs, right, left_out)


def _order(preferred: float, other: float) -> float:
    return 0.5 if preferred == other else float(preferred > other)


def _result(pairs: int, right: float, left_out: int) -> PairAccuracy:
    if not pairs:
        raise DataError(f"expected pairs to compare, got none; {left_out} were left out")
    return PairAccuracy(pairs, right, left_out)
