"""Which scores the preference loss compares."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rstar_fast.errors import KernelError


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
    def of(
        cls,
        groups: Sequence[tuple[Sequence[int], Sequence[int]]],
        device: torch.device | str = "cpu",
    ) -> "PairGroups":
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
            raise KernelError(
                f"preference_loss: indices of scores must not be negative, got {min(entries)}"
            )
        return cls(
            torch.tensor(entries, dtype=torch.int64, device=device),
            torch.tensor(offsets, dtype=torch.int32, device=device),
            torch.tensor(split, dtype=torch.int32, device=device),
            max(entries, default=-1) + 1,
        )
