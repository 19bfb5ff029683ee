"""The preference loss: groups and arguments checked, one implementation called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose


@dataclass(frozen=True)
class PairGroups:
    """Which scores are preferred to which: in each group, every one of the preferred to every one of the others.

    Attributes:
        entries: int64 [entries], indices of scores, group by group, in each the preferred ones first.
        offsets: int32 [groups + 1], where each group begins in `entries`.
        split: int32 [groups], where each group's preferred ones end and the others begin.
        num_scores: how many scores the entries index into, at least.
    """

    entries: Tensor
    offsets: Tensor
    split: Tensor
    num_scores: int

    @classmethod
    def of(cls, groups: Sequence[tuple[Sequence[int], Sequence[int]]], device: torch.device | str = "cpu") -> "PairGroups":
        """From (preferred, others) of each group, as indices of scores; a score may be in several groups.

        Raises:
            KernelError: a group has an empty side, or an index is negative.
        """
        entries: list[int] = []
        offsets, split = [0], []
        for number, (preferred, others) in enumerate(groups):
            if not preferred or not others:
                raise KernelError(
                    f"preference_loss: group {number}: expected scores on both sides, got {len(preferred)} and {len(others)}"
                )
            split.append(len(entries) + len(preferred))
            entries += [*preferred, *others]
            offsets.append(len(entries))
        if entries and min(entries) < 0:
            raise KernelError(f"preference_loss: indices of scores must not be negative, got {min(entries)}")
        return cls(
            torch.tensor(entries, dtype=torch.int64, device=device),
            torch.tensor(offsets, dtype=torch.int32, device=device),
            torch.tensor(split, dtype=torch.int32, device=device),
            max(entries, default=-1) + 1,
        )


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
        raise KernelError(f"preference_loss: expected scores [{groups.num_scores} or more], got {list(scores.shape)}")
    if scores.device != groups.entries.device:
        raise KernelError(f"preference_loss: expected one device, got {scores.device} and {groups.entries.device}")
    found: Tensor = choose("preference_loss", _IMPLS, impl, scores.device, "reference")(scores, groups)
    return found


def _reference() -> Callable[..., Any]:
    from rstar_fast.kernels.preference_loss.reference import preference_loss

    return preference_loss


def _triton() -> Callable[..., Any]:
    from rstar_fast.kernels.preference_loss.triton import preference_loss

    return preference_loss


_IMPLS = {"reference": _reference, "triton": _triton}
