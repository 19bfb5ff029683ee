"""The groups of scores that the preference loss compares."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rstar_fast.errors import KernelError


@dataclass(frozen=True)
class PairGroups:
    """Groups of scores. In each group every preferred score is paired with every other one.

    The tensors are on one device.

    Attributes:
        entries: Indices of scores, int64 [entries], group by group. In each group the preferred
            ones come first.
        offsets: Index into `entries` at which each group begins, int32 [groups + 1].
        split: Index into `entries` at which the others of each group begin, int32 [groups].
        num_scores: Smallest number of scores that all entries are valid for.
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
        """Make groups from pairs (indices of preferred scores, indices of other scores).

        A score may be in several groups.

        Args:
            groups: Pairs of indices, >= 0.
            device: Device of the tensors.

        Raises:
            KernelError: A group has an empty side, or an index is negative.
        """
        entries: list[int] = []
        offsets, split = [0], []
        for number, (preferred, others) in enumerate(groups):
            if not preferred or not others:
                raise KernelError(
                    f"preference_loss: group {number}: expected scores on both sides, "
                    f"got {len(preferred)} and {len(others)}"
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
