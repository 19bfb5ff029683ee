"""The front door of the preference loss. It checks the arguments and calls one implementation."""

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose
from rstar_fast.kernels.preference_loss.groups import PairGroups

_IMPLS = ("reference", "triton")


def preference_loss(scores: Tensor, groups: PairGroups, *, impl: str | None = None) -> Tensor:
    """Return the loss of each group: the mean of -log sigmoid(preferred - other) over its pairs.

    A group pairs each of its preferred scores with each of its others. This is the loss of
    rStar-Math (arXiv 2501.04519, section 3.3) for any number of scores on either side; the paper
    has two and two. The scores may be of any finite size: nothing overflows.

    Args:
        scores: Scores, floating, [scores].
        groups: Groups of indices into `scores`, on the same device.
        impl: Implementation: "reference" (torch, any device) or "triton". None picks triton on a
            GPU, and reference elsewhere.

    Returns:
        Losses [groups], float32 (float64 for float64 scores). They are differentiable in `scores`.

    Raises:
        KernelError: A group has an index of no score, the devices differ, or the implementation
            cannot run.
    """
    if scores.ndim != 1 or len(scores) < groups.num_scores:
        raise KernelError(
            f"preference_loss: expected scores [{groups.num_scores} or more], "
            f"got {list(scores.shape)}"
        )
    if scores.device != groups.entries.device:
        raise KernelError(
            "preference_loss: expected scores and groups on one device, "
            f"got {scores.device} and {groups.entries.device}"
        )
    losses: Tensor = choose("preference_loss", _IMPLS, impl, scores.device)(scores, groups)
    return losses
