"""Attention that reads the kept keys and values where they lie.

A batched attention needs masks, gathering and padding. Small models on a CPU spend more time on
these than on its products, and a GPU waits for the host that starts them. Here a table says, for
each new token, where its keys are. In float32 on a CPU the core attends, and on a GPU kernels do.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast._core import attend
from rstar_fast.kernels.dispatch import has_triton
from rstar_fast.kernels.kept_attention import KeptTable, kept_attention
from rstar_fast.kernels.kept_attention.configs import MAX_ROW_BYTES
from rstar_fast.kernels.strides import with_adjacent_elements
from rstar_fast.policy.kv import Layout, PrefixKV, PrefixPool, RowKV

_NO_ROW = -1
_MULTIPLE = 16
"""The core takes keys and values whose dimension is a multiple of this."""


class KeptAttention(Protocol):
    """The attention of the tokens of a forward that stand in a table."""

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, out: Tensor
    ) -> None:
        """Attend from the tokens of the table, and write their keys and values to the buffers.

        Args:
            layer: Number of the layer.
            query: Queries [query_heads, tokens, dim].
            key: Keys [kv_heads, tokens, dim].
            value: Values [kv_heads, tokens, dim].
            scale: Factor of the products.
            out: Results [query_heads, tokens, dim]. Those of the table's tokens are written to it.
        """


@dataclass(frozen=True, slots=True)
class InCore:
    """`KeptAttention` by the core.

    Attributes:
        pools: Pools of the prefixes.
        own: Keys and values of the rows.
        entries: Entries of `_core.attend`, int32 [tokens, 6].
    """

    pools: list[PrefixPool]
    own: RowKV
    entries: NDArray[np.int32]

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, out: Tensor
    ) -> None:
        """Attend, see `KeptAttention`."""
        attend(
            with_adjacent_elements(query).numpy(),
            with_adjacent_elements(key).numpy(),
            with_adjacent_elements(value).numpy(),
            out.numpy(),
            [pool.buffer.arrays[layer] for pool in self.pools],
            self.own.arrays[layer],
            self.entries,
            scale,
            torch.get_num_threads(),
        )


@dataclass(frozen=True, slots=True)
class OnGpu:
    """`KeptAttention` by kernels.

    Attributes:
        table: Table of the tokens.
    """

    table: KeptTable

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, out: Tensor
    ) -> None:
        """Attend, see `KeptAttention`."""
        kept_attention(query, key, value, self.table, layer, out, scale=scale)


class KeptEntries:
    """Collects the entries of a table, one token after the other."""

    def __init__(self) -> None:
        self._pools: dict[PrefixPool, int] = {}
        self._entries: list[tuple[int, int, int, int, int, int]] = []

    def add_row(self, token: int, prefix: PrefixKV, row: int, num_tokens: int) -> None:
        """Add the newest token of a row.

        Args:
            token: Packed position.
            prefix: Prefix of the row.
            row: Place of the row.
            num_tokens: Number of tokens that the row has written, this one included.
        """
        number = self._pools.setdefault(prefix.pool, len(self._pools))
        self._entries.append((token, number, prefix.place, prefix.num_tokens, row, num_tokens))

    def add_prefix(self, begin: int, prefix: PrefixKV) -> None:
        """Add the unknown tokens of a prefix.

        Args:
            begin: Packed position of the first of them.
            prefix: Prefix.
        """
        number = self._pools.setdefault(prefix.pool, len(self._pools))
        self._entries += [
            (begin + i, number, prefix.place, prefix.num_known + i + 1, _NO_ROW, 0)
            for i in range(prefix.num_tokens - prefix.num_known)
        ]

    def finish(self, own: RowKV) -> InCore | OnGpu | None:
        """Return the attention of the tokens that were added. None if there are none."""
        if not self._entries:
            return None
        entries = np.array(self._entries, np.int32)
        if own.arrays:
            return InCore(list(self._pools), own, entries)
        assert own.stacked is not None
        prefixes = [pool.buffer.stacked for pool in self._pools]
        return OnGpu(
            KeptTable.of(
                [buffer for buffer in prefixes if buffer is not None], own.stacked, entries
            )
        )


def kept_attention_fits(layout: Layout) -> bool:
    """Return whether the core, or the kernels on a GPU, can read a model's keys and values."""
    if layout.device.type == "cuda":
        return (
            layout.is_uniform
            and layout.layers[0].key_dim * layout.dtype.itemsize <= MAX_ROW_BYTES
            and has_triton()
        )
    return layout.in_core and all(
        shape.key_dim == shape.value_dim and shape.key_dim % _MULTIPLE == 0
        for shape in layout.layers
    )
