"""The losses that a PPM and the two models it is compared with are trained by."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rstar_fast.errors import DataError
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.training.token_trees import PackedTrees, TokenTree

Objective = Literal["ppm", "orm", "pqm"]
"""Name of what a model learns: preferences (ppm), outcomes of solutions (orm) or Q (pqm)."""

SCALES: dict[Objective, float] = {"ppm": 5.0, "orm": 2.0, "pqm": 1.0}
"""Divisor of a value before the squash: the score of a node is tanh(value / scale).

A PPM's scale is that of the released code. An ORM's makes the score 2 * P(right) - 1, and a PQM's
makes it Q itself.
"""


def objective_loss(
    values: Tensor, trees: PackedTrees, objective: Objective, likelihood: float = 0.0
) -> Tensor:
    """Return the loss of packed trees, summed over their comparisons or targets.

    - ppm: -log sigmoid of the difference of two values, for every pair by its weight (rStar-Math,
      section 3.3). The values themselves are compared and not their tanh, as in the released code.
    - orm: cross entropy of sigmoid(value) and the outcome.
    - pqm: squared error of tanh(value) and Q.

    Args:
        values: Values of the head before the squash, floating [nodes].
        trees: Packed trees with comparisons (ppm) or targets (orm, pqm).
        objective: Name of the loss.
        likelihood: Weight of a path's log-probability under the policy, which is added to its
            value, >= 0. See `PPM.likelihood`.

    Returns:
        A scalar, differentiable.

    Raises:
        DataError: `likelihood` is above 0, and a log-probability is not known.
    """
    if objective == "ppm":
        return _preference_loss(values, trees, likelihood)
    nodes = torch.tensor([target.node for target in trees.targets], device=values.device)
    wanted = values.new_tensor([target.value for target in trees.targets])
    shifts = policy_shifts([target.logprob for target in trees.targets], likelihood)
    judged = values[nodes] + values.new_tensor(shifts)
    if objective == "orm":
        return functional.binary_cross_entropy_with_logits(judged, wanted, reduction="sum")
    return functional.mse_loss(torch.tanh(judged / SCALES["pqm"]), wanted, reduction="sum")


def total_weight(trees: PackedTrees | TokenTree) -> float:
    """Return the total weight of the comparisons and targets.

    A loss of `objective_loss` divided by it is a mean. All pairs of a group together weigh 1, less
    the pairs that were left out. A target weighs 1.
    """
    pairs = sum(comparison.weight * len(comparison.others) for comparison in trees.comparisons)
    return pairs + len(trees.targets)


def policy_shifts(logprobs: Sequence[float | None], likelihood: float) -> list[float]:
    """Return what log-probabilities under the policy add to values.

    Args:
        logprobs: Log-probabilities, nats. None where one is not known.
        likelihood: Weight of the log-probabilities, >= 0.

    Raises:
        DataError: `likelihood` is above 0, and a log-probability is not known.
    """
    if not likelihood:
        return [0.0] * len(logprobs)
    if any(one is None for one in logprobs):
        raise DataError(
            "expected the policy's log-probability of every step (likelihood > 0), "
            "got data without it"
        )
    return [likelihood * one for one in logprobs if one is not None]


def _preference_loss(values: Tensor, trees: PackedTrees, likelihood: float) -> Tensor:
    nodes: list[int] = []
    shifts: list[float] = []
    groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for preferred, others, _, margins in trees.comparisons:
        first = len(nodes)
        groups.append(((first,), tuple(range(first + 1, first + 1 + len(others)))))
        nodes += [preferred, *others]
        shifts += [0.0, *(-shift for shift in policy_shifts(margins, likelihood))]
    compared = values[torch.tensor(nodes, device=values.device)] + values.new_tensor(shifts)
    # The kernel returns the mean over each group's pairs.
    losses = preference_loss(compared, PairGroups.of(groups, values.device))
    return losses @ losses.new_tensor(
        [comparison.weight * len(comparison.others) for comparison in trees.comparisons]
    )
