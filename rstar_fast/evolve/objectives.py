"""The losses a PPM, and the models it is compared with, are trained by."""

import torch
from torch import Tensor
from torch.nn import functional

from rstar_fast.evolve.token_trees import Objective, PackedTrees
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss

SCALES: dict[Objective, float] = {"ppm": 5.0, "orm": 2.0, "pqm": 1.0}
"""The score is tanh(v / scale): as in the released code; such that it is 2 * P(right) - 1; such that it is Q itself."""


def objective_loss(values: Tensor, trees: PackedTrees, objective: Objective) -> Tensor:
    """The loss of packed trees, summed over what is to be learnt in them.

    ppm: -log sigmoid of the difference of the values, each pair by its weight (rStar-Math, section 3.3; the values
    themselves are compared, as in the released code, not their tanh). orm: cross entropy of sigmoid(value) and the outcome. pqm:
    squared error of tanh(value) and Q.

    Args:
        values: floating [nodes], of the head, before the squash.
        trees: their pack's comparisons or targets.
        objective: which.

    Returns:
        A scalar, differentiable.
    """
    if objective == "ppm":
        groups = PairGroups.of([((one,), others) for one, others, _ in trees.comparisons], values.device)
        losses = preference_loss(values, groups)
        return losses @ losses.new_tensor([weight * len(others) for _, others, weight in trees.comparisons])
    nodes = torch.tensor([node for node, _ in trees.targets], device=values.device)
    wanted = torch.tensor([value for _, value in trees.targets], dtype=values.dtype, device=values.device)
    if objective == "orm":
        return functional.binary_cross_entropy_with_logits(values[nodes], wanted, reduction="sum")
    return functional.mse_loss(torch.tanh(values[nodes] / SCALES["pqm"]), wanted, reduction="sum")


def num_groups(trees: PackedTrees) -> float:
    """What a loss is divided by for its mean: the groups' worth of comparisons (their shares of 1 each), or the targets."""
    return sum(weight * len(others) for _, others, weight in trees.comparisons) + len(trees.targets)
