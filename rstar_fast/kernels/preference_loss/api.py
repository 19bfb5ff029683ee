"""The preference loss: groups and arguments checked, one implementation called."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose
from rstar_fast.kernels.preference_loss.groups import PairGroups


def preference_loss(scores: Tensor, groups: PairGroups, *, impl: str | None = None) -> Tensor:
    """Per group, -1 / (n_preferred * n_others) * the sum over its pairs of log sigmoid(preferred - other).

    That is the loss of rStar-Math, section 3.3, with as many on either side as there are.

    Args:
        scores: floating [scores], any finite size: nothing overflows.
        groups: on the same device.
        impl: "reference" (torch, any device) or "triton"; None picks triton on a GPU, else reference.

    Returns:
        [groups], float32 (float64 for float64 scores); differentiable.

    Raises:
        KernelError: a group names a score that is not there, or the implementation cannot run.
    """
    if scores.ndim != 1 or len(scores) < groups.num_scores:
        raise KernelError(
            f"preference_loss: expected scores [{groups.num_scores} or more], got {list(scores.shape)}"
        )
    if scores.device != groups.entries.device:
        raise KernelError(
            f"preference_loss: expected one device, got {scores.device} and {groups.entries.device}"
        )
    found: Tensor = choose("preference_loss", _IMPLS, impl, scores.device, "reference")(
        scores, groups
    )
    return found


def _reference() -> Callable[..., Any]:
    from rstar_fast.kernels.preference_loss.reference import preference_loss

    return preference_loss


def _triton() -> Callable[..., Any]:
    from rstar_fast.kernels.preference_loss.triton import preference_loss

    return preference_loss


_IMPLS = {"reference": _reference, "triton": _triton}
