"""Attention in float32 on the CPU: the core reads the kept keys and values where they lie.

Small models spend more time on preparing a batched attention (masks, gathering, padding) than on
its products. The core needs none of it: a table says, for each new token, where its keys are.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast._core import attend
from rstar_fast.policy.kv import Layout, PrefixKV, PrefixPool, RowKV

_NO_ROW = -1
_MULTIPLE = 16
"""The core takes keys and values whose dimension is a multiple of this."""


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """Where the new tokens of a forward find their keys.

    Attributes:
        pools: Pools of the prefixes.
        own: Keys and values of the rows.
        table: Entries of `_core.attend`, int32 [tokens, 6].
    """

    pools: list[PrefixPool]
    own: RowKV
    table: NDArray[np.int32]

    def attend(
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
        attend(
            _dense(query).numpy(),
            _dense(key).numpy(),
            _dense(value).numpy(),
            out.numpy(),
            [pool.buffer.arrays[layer] for pool in self.pools],
            self.own.arrays[layer],
            self.table,
            scale,
            torch.get_num_threads(),
        )


class KeptTable:
    """Builds the table of `KeptKeys`, one token after the other."""

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

    def finish(self, own: RowKV) -> KeptKeys | None:
        """Return the table. None if it is empty."""
        if not self._entries:
            return None
        return KeptKeys(list(self._pools), own, np.array(self._entries, np.int32))


def _dense(tensor: Tensor) -> Tensor:
    """Return a tensor whose last dimension is dense: a model may hand over another one."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def kept_attention_fits(layout: Layout) -> bool:
    """Return whether a model's keys and values are such that the core can read them."""
    return layout.in_core and all(
        shape.key_dim == shape.value_dim and shape.key_dim % _MULTIPLE == 0
        for shape in layout.layers
    )
