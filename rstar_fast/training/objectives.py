"""The losses a PPM, and the models it is compared with, are trained by."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rstar_fast.errors import DataError
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.training.token_trees import Objective, PackedTrees

SCALES: dict[Objective, float] = {"ppm": 5.0, "orm": 2.0, "pqm": 1.0}
"""The score is tanh(v / scale): as in the released code; such that it is 2 * P(right) - 1; such that it is Q itself."""


def objective_loss(
    values: Tensor, trees: PackedTrees, objective: Objective, likelihood: float = 0.0
) -> Tensor:
    """The loss of packed trees, summed over what is to be learnt in them.

    ppm: -log sigmoid of the difference of the values, each pair by its weight (rStar-Math, section 3.3; the values
    themselves are compared, as in the released code, not their tanh). orm: cross entropy of sigmoid(value) and the outcome. pqm:
    squared error of tanh(value) and Q.

    Args:
        values: floating [nodes], of the head, before the squash.
        trees: their pack's comparisons or targets.
        objective: which.
        likelihood: weight of the policy's log-probability of a path, which is added to its value, see `PPM.likelihood`.

    Returns:
        A scalar, differentiable.

    Raises:
        DataError: the log-probabilities are wanted and not known.
    """
    if objective == "ppm":
        index: list[int] = []
        shifts: list[float] = []
        groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        for one, others, _, margins in trees.comparisons:
            groups.append(
                ((len(index),), tuple(range(len(index) + 1, len(index) + 1 + len(others))))
            )
            index += [one, *others]
            shifts += [0.0, *(-shift for shift in policy_shifts(margins, likelihood))]
        compared = values[torch.tensor(index, device=values.device)] + values.new_tensor(shifts)
        losses = preference_loss(compared, PairGroups.of(groups, values.device))
        return losses @ losses.new_tensor(
            [comparison.weight * len(comparison.others) for comparison in trees.comparisons]
        )
    nodes = torch.tensor([target.node for target in trees.targets], device=values.device)
    wanted = values.new_tensor([target.value for target in trees.targets])
    judged = values[nodes] + values.new_tensor(
        policy_shifts([target.logprob for target in trees.targets], likelihood)
    )
    if objective == "orm":
        return functional.binary_cross_entropy_with_logits(judged, wanted, reduction="sum")
    return functional.mse_loss(torch.tanh(judged / SCALES["pqm"]), wanted, reduction="sum")


def num_groups(trees: PackedTrees) -> float:
    """What a loss is divided by for its mean: the groups' worth of comparisons (their shares of 1 each), or the targets."""
    return sum(
        comparison.weight * len(comparison.others) for comparison in trees.comparisons
    ) + len(trees.targets)


def policy_shifts(logprobs: Sequence[float | None], likelihood: float) -> list[float]:
    """What is added to values for the policy's log-probabilities."""
    if not likelihood:
        return [0.0] * len(logprobs)
    if any(one is None for one in logprobs):
        raise DataError(
            "expected the policy's log-probability of every step (likelihood > 0), got data without"
        )
    return [likelihood * one for one in logprobs if one is not None]
