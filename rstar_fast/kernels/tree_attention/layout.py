"""Who sees whom in a packed sequence, on the host and on the device."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast._core import BlockLists, Pack, visible_blocks

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class DeviceBlocks:
    """`BlockLists` as int32 tensors of one device."""

    offsets: Tensor
    split: Tensor
    blocks: Tensor


class TreeLayout:
    """Visibility among packed tokens: query q sees key k iff k <= q < end[k], within a window if there is one.

    Every token is a key; those in `queries` also ask. Tokens whose keys and values are known already (a cached prefix) are left out
    of `queries`. Block lists are made once per block size and window, and shared by all layers of a model.

    Attributes:
        end: int32 [keys], as `Pack.end`.
        position: int32 [keys], as `Pack.position`.
        queries: int32 [queries], packed indices, ascending.
        device: where the tensors are.
    """

    def __init__(
        self,
        end: Ints,
        position: Ints,
        queries: Ints | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Take the arrays; without `queries` every token asks.

        Raises:
            PackError: the arrays contradict one another.
        """
        self.end, self.position = end, position
        self.queries = np.arange(len(end), dtype=np.int32) if queries is None else queries
        self.device = torch.device(device)
        self._tensors: dict[str, Tensor] = {}
        self._lists: dict[tuple[int, int, int | None], BlockLists] = {}
        self._device_lists: dict[tuple[int, int, int | None, bool], DeviceBlocks] = {}
        self.kept: dict[object, Any] = {}
        """What implementations keep between the layers of a forward, by keys of their own."""
        # One block over everything: what it costs is the check.
        self.blocks(max(1, self.num_queries), max(1, self.num_keys))

    @classmethod
    def of(cls, pack: Pack, device: torch.device | str = "cpu") -> "TreeLayout":
        """Every token of a pack asks."""
        return cls(pack.end, pack.position, None, device)

    @property
    def num_queries(self) -> int:
        """Tokens that ask."""
        return len(self.queries)

    @property
    def num_keys(self) -> int:
        """Tokens that are seen."""
        return len(self.end)

    def blocks(self, block_queries: int, block_keys: int, window: int | None = None) -> BlockLists:
        """By block of queries, the blocks of keys it sees; see `visible_blocks`."""
        key = (block_queries, block_keys, window)
        if key not in self._lists:
            self._lists[key] = visible_blocks(self.end, self.position, self.queries, *key)
        return self._lists[key]

    def device_blocks(
        self, block_queries: int, block_keys: int, window: int | None, by_key: bool = False
    ) -> DeviceBlocks:
        """The lists on the device; `by_key`: by block of keys, the blocks of queries that see it."""
        key = (block_queries, block_keys, window, by_key)
        if key not in self._device_lists:
            lists = self.blocks(block_queries, block_keys, window)
            lists = lists.transpose() if by_key else lists
            self._device_lists[key] = DeviceBlocks(
                *map(self._to_device, (lists.offsets, lists.split, lists.blocks))
            )
        return self._device_lists[key]

    def tensor(self, name: str) -> Tensor:
        """`end`, `position` or `queries` on the device, int32."""
        if name not in self._tensors:
            self._tensors[name] = self._to_device(getattr(self, name))
        return self._tensors[name]

    def _to_device(self, values: Ints) -> Tensor:
        return torch.from_numpy(values.copy()).to(self.device)
