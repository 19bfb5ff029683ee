"""Buffers for the keys and values (KV) of prefixes that rows share, and of the rows themselves.

    prefixes, a buffer for each size class
        keys, values  [layer] [places, kv_heads, capacity, dim], a prefix's tokens in [:length]
    rows, one buffer
        keys, values  [layer] [max_rows, kv_heads, capacity, dim], a row's tokens in [:length]

A place is an index into the first dimension of a buffer. A row's own tokens begin after its prefix.
Positions are applied to the keys already, so that the two buffers are independent. Prefixes of
similar length lie side by side, so that one attention call serves the rows of all of them.

The flat form of some tokens' KV is one tensor [tokens, width]. It holds the keys, then the values
of each layer.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast._core import gather_kv, scatter_kv

_FIRST_CAPACITY = 64
_FIRST_PLACES = 8


@dataclass(frozen=True, slots=True)
class LayerShape:
    """The shape of one layer's keys and values.

    Attributes:
        num_heads: Number of key and value heads.
        key_dim: Elements of a key.
        value_dim: Elements of a value.
    """

    num_heads: int
    key_dim: int
    value_dim: int

    @property
    def width(self) -> int:
        """Number of elements that a token takes in this layer."""
        return self.num_heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class Layout:
    """The form of a model's keys and values.

    Attributes:
        layers: Shapes, by layer.
        dtype: Number type.
        device: Device.
    """

    layers: tuple[LayerShape, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def width(self) -> int:
        """Number of elements that a token takes in all layers."""
        return sum(layer.width for layer in self.layers)

    @property
    def token_bytes(self) -> int:
        """Size of a token's keys and values in all layers, bytes."""
        return self.width * self.dtype.itemsize

    @property
    def in_core(self) -> bool:
        """Whether the core can read and write such keys and values: in float32 on the CPU."""
        return self.device.type == "cpu" and self.dtype == torch.float32

    @property
    def is_uniform(self) -> bool:
        """Whether all layers have one shape, and keys the dimension of values."""
        return len(set(self.layers)) == 1 and self.layers[0].key_dim == self.layers[0].value_dim

    def empty(self, *shape: int) -> Tensor:
        """Return a tensor of this type on this device, with undefined elements."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)


class _Buffer:
    """Keys and values by layer, [num_places, kv_heads, capacity, dim], zero where unused.

    Attributes:
        num_places: Number of places.
        capacity: Number of tokens that a place has room for.
        keys: Keys, by layer.
        values: Values, by layer.
        stacked: All keys and values in one tensor, which a GPU copies in one launch: [layers, 2,
            num_places, kv_heads, capacity, dim]. Index 0 of the second dimension has the keys. It
            is None if the layers differ in shape.
        arrays: Keys and values by layer, as the core takes them. Empty where it does not.
    """

    def __init__(self, layout: Layout, num_places: int, capacity: int) -> None:
        self._layout = layout
        self.num_places, self.capacity = num_places, capacity
        self.stacked: Tensor | None = None
        # Zeros, since a masked token still enters the product: 0 * NaN would be NaN.
        if layout.is_uniform:
            shape = layout.layers[0]
            self.stacked = layout.empty(
                len(layout.layers), 2, num_places, shape.num_heads, capacity, shape.key_dim
            ).zero_()
            self.keys, self.values = list(self.stacked[:, 0]), list(self.stacked[:, 1])
        else:
            self.keys = [
                layout.empty(num_places, shape.num_heads, capacity, shape.key_dim).zero_()
                for shape in layout.layers
            ]
            self.values = [
                layout.empty(num_places, shape.num_heads, capacity, shape.value_dim).zero_()
                for shape in layout.layers
            ]
        self.arrays = (
            [(k.numpy(), v.numpy()) for k, v in zip(self.keys, self.values, strict=True)]
            if layout.in_core
            else []
        )

    def grown(self, num_places: int, capacity: int) -> "_Buffer":
        """Return a larger buffer with the contents of this one."""
        larger = _Buffer(self._layout, num_places, capacity)
        for new, old in zip(larger._pieces(), self._pieces(), strict=True):
            new[..., : self.num_places, :, : self.capacity, :] = old
        return larger

    def _pieces(self) -> list[Tensor]:
        """Return all keys and values, in tensors [..., num_places, kv_heads, capacity, dim]."""
        return [*self.keys, *self.values] if self.stacked is None else [self.stacked]

    def clear(self, place: int) -> None:
        """Set a place to zero."""
        for kv in self._pieces():
            kv[..., place, :, :, :].zero_()

    def flat(self, place: int, tokens: slice) -> Tensor:
        """Return a copy of some tokens of a place in the flat form [tokens, width]."""
        if self.arrays:
            return torch.from_numpy(gather_kv(self.arrays, place, tokens.start, tokens.stop))
        if self.stacked is not None:
            return self.stacked[:, :, place, :, tokens].permute(3, 0, 1, 2, 4).flatten(1)
        pieces = [
            kv[place, :, tokens] for pair in zip(self.keys, self.values, strict=True) for kv in pair
        ]
        return torch.cat([piece.transpose(0, 1).flatten(1) for piece in pieces], 1)

    def fill(self, place: int, start: int, flat: Tensor) -> None:
        """Write the flat form [tokens, width] into a place, from token `start` on."""
        if self.arrays:
            scatter_kv(self.arrays, place, start, flat.numpy())
            return
        column, tokens = 0, slice(start, start + len(flat))
        if self.stacked is not None:
            here = self.stacked[:, :, place, :, tokens].permute(3, 0, 1, 2, 4)
            here.copy_(flat.view(here.shape))
            return
        for pair in zip(self.keys, self.values, strict=True):
            for kv in pair:
                heads, dim = kv.shape[1], kv.shape[3]
                piece = flat[:, column : column + heads * dim]
                kv[place, :, tokens] = piece.view(len(flat), heads, dim).transpose(0, 1)
                column += heads * dim


class PrefixPool:
    """The prefixes of one size class.

    Attributes:
        layout: Form of the keys and values.
        buffer: Keys and values. Replaced by a larger one when no place is free.
    """

    def __init__(self, layout: Layout, capacity: int) -> None:
        """Make a pool for prefixes of at most `capacity` tokens."""
        self.layout = layout
        self.buffer = _Buffer(layout, _FIRST_PLACES, capacity)
        self._free = list(range(_FIRST_PLACES))

    def take(self) -> int:
        """Take the lowest free place."""
        if not self._free:
            num_places = self.buffer.num_places
            self.buffer = self.buffer.grown(2 * num_places, self.buffer.capacity)
            self._free = list(range(num_places, 2 * num_places))
        return heapq.heappop(self._free)

    def give_back(self, place: int) -> None:
        """Free a place."""
        heapq.heappush(self._free, place)


class PrefixKV:
    """The keys and values of one request's prefix.

    The store fills in those of the first tokens. The forward that encodes the prefix adds the rest.

    Attributes:
        pool: Pool that they lie in.
        place: Place in the pool.
        num_tokens: Length of the prefix.
        num_known: Number of first tokens that the store filled in.
    """

    __slots__ = ("num_known", "num_tokens", "place", "pool")

    def __init__(self, pool: PrefixPool, num_tokens: int) -> None:
        self.pool = pool
        self.place = pool.take()
        self.num_tokens = num_tokens
        self.num_known = 0

    def release(self, *, damaged: bool = False) -> None:
        """Give the place back.

        Args:
            damaged: Whether the place may hold NaN. It is then set to zero.
        """
        if damaged:
            self.pool.buffer.clear(self.place)
        self.pool.give_back(self.place)

    def layer(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return the keys and values of a layer, [1, kv_heads, num_tokens, dim], as views."""
        buffer, here = self.pool.buffer, slice(self.place, self.place + 1)
        return buffer.keys[layer][here, :, : self.num_tokens], buffer.values[layer][
            here, :, : self.num_tokens
        ]

    def fill(self, pieces: Sequence[Tensor]) -> None:
        """Take the KV of the first tokens from pieces [t, width]. Sets `num_known`."""
        self.num_known = 0
        for piece in pieces:
            self.pool.buffer.fill(self.place, self.num_known, piece)
            self.num_known += len(piece)

    def flat(self, start: int) -> Tensor:
        """Return a copy of the tokens from `start` on in the flat form [tokens, width]."""
        return self.pool.buffer.flat(self.place, slice(start, self.num_tokens))


class PrefixPools:
    """Room for prefixes of any length, in size classes that double."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._pools: dict[int, PrefixPool] = {}

    @property
    def num_bytes(self) -> int:
        """Size of all buffers, bytes."""
        return self._layout.token_bytes * sum(
            pool.buffer.num_places * pool.buffer.capacity for pool in self._pools.values()
        )

    def new_prefix(self, num_tokens: int) -> PrefixKV:
        """Return room for a prefix of this many tokens."""
        capacity = _capacity(num_tokens)
        if capacity not in self._pools:
            self._pools[capacity] = PrefixPool(self._layout, capacity)
        return PrefixKV(self._pools[capacity], num_tokens)


def row_bytes(layout: Layout, num_tokens: int) -> int:
    """Return the size of a row's place in a `RowKV` that holds rows of this many tokens, bytes."""
    return layout.token_bytes * _capacity(num_tokens)


class RowKV:
    """The keys and values that rows wrote after their prefixes. A row's place is its number."""

    def __init__(self, layout: Layout, max_rows: int) -> None:
        self._buffer = _Buffer(layout, max_rows, 0)

    @property
    def keys(self) -> list[Tensor]:
        """Keys by layer, [max_rows, kv_heads, capacity, key_dim]."""
        return self._buffer.keys

    @property
    def values(self) -> list[Tensor]:
        """Values by layer, [max_rows, kv_heads, capacity, value_dim]."""
        return self._buffer.values

    @property
    def stacked(self) -> Tensor | None:
        """All of them, [layers, 2, max_rows, kv_heads, capacity, dim], None where layers differ."""
        return self._buffer.stacked

    @property
    def arrays(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Keys and values by layer, as the core takes them."""
        return self._buffer.arrays

    def reserve(self, num_tokens: int) -> None:
        """Make room for rows of this many tokens, by doubling. What the rows hold is kept."""
        buffer = self._buffer
        if num_tokens > buffer.capacity:
            self._buffer = buffer.grown(buffer.num_places, _capacity(num_tokens))

    def add_rows(self, num_rows: int) -> None:
        """Make room for this many rows in all. What the rows hold is kept."""
        self._buffer = self._buffer.grown(num_rows, self._buffer.capacity)

    def move(self, source: int, target: int, num_tokens: int) -> None:
        """Copy a row's first tokens into the place of another row."""
        self._buffer.fill(target, 0, self.flat(source, num_tokens))

    def clear(self, row: int) -> None:
        """Set a row to zero. Needed where it may hold NaN."""
        self._buffer.clear(row)

    def flat(self, row: int, num_tokens: int) -> Tensor:
        """Return a copy of a row's first tokens in the flat form [num_tokens, width]."""
        return self._buffer.flat(row, slice(0, num_tokens))


def _capacity(num_tokens: int) -> int:
    """Return the size class of this many tokens."""
    return max(_FIRST_CAPACITY, 1 << (num_tokens - 1).bit_length())
