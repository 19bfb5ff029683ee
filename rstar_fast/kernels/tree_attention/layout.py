"""The visibility among packed tokens, on the host and on the device."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast._core import BlockLists, Pack, visible_blocks

Ints = NDArray[np.int32]

_PARTS = 512
"""Number of parts of all lists by key together if all parts had the largest size."""
_MAX_UNCUT_TILES = 32
"""Number of tiles up to which a list is never cut."""


@dataclass(frozen=True)
class DeviceBlocks:
    """Block lists for a kernel, cut into parts. A program works on one part for one group of heads.

    The tensors are int32 and on one device. A part is a run of the tiles that one row of the lists
    names. Where a row has several parts, each leaves its sums in a slot, and a last kernel adds
    them up.

    Attributes:
        parts: Parts, [parts, 5]. The columns are the row; the indices into `blocks` at which the
            part begins, at which its full blocks end, and at which it ends; and the slot of its
            sums, -1 for the only part of a row. Parts with most tiles come first, because a
            program that runs long must not begin last.
        blocks: `BlockLists.blocks` and one number more, because a kernel reads one entry ahead.
        joins: Rows with several parts, [joins, 3]. The columns are the row, the slot of its first
            part, and the number of its parts, whose slots are adjacent.
        num_slots: Number of slots.
    """

    parts: Tensor
    blocks: Tensor
    joins: Tensor
    num_slots: int


def _parts(lists: BlockLists, longest: int) -> tuple[Ints, Ints, int]:
    """Return `parts`, `joins` and `num_slots` of `DeviceBlocks`.

    Args:
        lists: Block lists.
        longest: Largest number of tiles in a part, >= 1. The parts of a row differ by at most one.
    """
    sizes = np.diff(lists.offsets).astype(np.int64)
    counts = np.maximum(1, -(-sizes // longest))
    rows = np.arange(len(sizes)).repeat(counts)
    number = np.arange(len(rows)) - (counts.cumsum() - counts)[rows]
    begins = lists.offsets[rows] + sizes[rows] * number // counts[rows]
    ends = lists.offsets[rows] + sizes[rows] * (number + 1) // counts[rows]
    several = counts[rows] > 1
    slots = np.where(several, several.cumsum() - 1, -1)
    found = np.stack([rows, begins, np.clip(lists.split[rows], begins, ends), ends, slots], 1)
    joined = np.flatnonzero(several & (number == 0))
    joins = np.stack([rows[joined], slots[joined], counts[rows[joined]]], 1)
    order = np.argsort(begins - ends, kind="stable")
    return found[order].astype(np.int32), joins.astype(np.int32), int(several.sum())


class TreeLayout:
    """The visibility among packed tokens.

    Query q sees key k if and only if k <= q < end[k] and, with a window, position[q] - position[k]
    < window. Every token is a key, and those in `queries` also ask. Tokens whose keys and values
    are known already, such as a cached prefix, are left out of `queries`. Block lists are made once
    for each block size and window, and serve all layers of a model.

    Attributes:
        end: `Pack.end`, int32 [keys].
        position: `Pack.position`, int32 [keys].
        queries: Packed indices of the tokens that ask, int32 [queries], ascending.
        device: Device of the tensors that the layout makes.
        kept: Values that implementations keep for all layers, by keys of their own.
    """

    def __init__(
        self,
        end: Ints,
        position: Ints,
        queries: Ints | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Take the arrays, without copying them. Nobody may change them afterwards.

        Args:
            end: `Pack.end`, int32 [keys].
            position: `Pack.position`, int32 [keys].
            queries: Packed indices of the tokens that ask, int32 [queries], ascending. None for all
                tokens.
            device: Device of the tensors that the layout makes.

        Raises:
            PackError: The arrays contradict one another.
        """
        self.end, self.position = end, position
        self.queries = np.arange(len(end), dtype=np.int32) if queries is None else queries
        self.device = torch.device(device)
        self._tensors: dict[str, Tensor] = {}
        self._lists: dict[tuple[int, int, int | None], BlockLists] = {}
        self._device_lists: dict[tuple[int, int, int | None, bool], DeviceBlocks] = {}
        self.kept: dict[object, Any] = {}
        # The lists of a single block check the arrays and cost little.
        self.blocks(max(1, self.num_queries), max(1, self.num_keys))

    @classmethod
    def of(cls, pack: Pack, device: torch.device | str = "cpu") -> "TreeLayout":
        """Make the layout of a pack in which every token asks."""
        return cls(pack.end, pack.position, None, device)

    @property
    def num_queries(self) -> int:
        """Number of tokens that ask."""
        return len(self.queries)

    @property
    def num_keys(self) -> int:
        """Number of tokens, all of which are keys."""
        return len(self.end)

    def blocks(self, block_queries: int, block_keys: int, window: int | None = None) -> BlockLists:
        """Return the blocks of keys that each block of queries sees. See `visible_blocks`."""
        key = (block_queries, block_keys, window)
        if key not in self._lists:
            self._lists[key] = visible_blocks(self.end, self.position, self.queries, *key)
        return self._lists[key]

    def device_blocks(
        self, block_queries: int, block_keys: int, window: int | None, by_key: bool = False
    ) -> DeviceBlocks:
        """Return the lists on the device.

        Args:
            block_queries: Number of queries in a block, >= 1.
            block_keys: Number of keys in a block, >= 1.
            window: Number of positions that a query sees, >= 1. None for all.
            by_key: Whether a row is a block of keys and lists the blocks of queries that see it.
                Otherwise a row is a block of queries and lists blocks of keys. Only rows by key
                are cut into several parts.
        """
        key = (block_queries, block_keys, window, by_key)
        if key not in self._device_lists:
            lists = self.blocks(block_queries, block_keys, window)
            lists = lists.transpose() if by_key else lists
            # All tokens of a tree see its question. So by key, a few lists are many times longer
            # than the others.
            longest = max(1, len(lists.blocks))
            if by_key:
                longest = max(_MAX_UNCUT_TILES, -(-len(lists.blocks) // _PARTS))
            parts, joins, num_slots = _parts(lists, longest)
            blocks = np.append(lists.blocks, np.int32(0))
            self._device_lists[key] = DeviceBlocks(
                self._to_device(parts), self._to_device(blocks), self._to_device(joins), num_slots
            )
        return self._device_lists[key]

    def tensor(self, name: str) -> Tensor:
        """Return the array of a name on the device, int32: "end", "position" or "queries"."""
        if name not in self._tensors:
            self._tensors[name] = self._to_device(getattr(self, name))
        return self._tensors[name]

    def _to_device(self, values: Ints) -> Tensor:
        return torch.from_numpy(values.copy()).to(self.device)
