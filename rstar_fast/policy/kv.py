"""Keys and values: of the prefixes that rows share, and of what each row wrote itself.

    prefixes (a buffer per size class)   keys, values  [layer] [places, kv_heads, capacity, dim], a prefix's tokens in [:length]
    rows     (one buffer)                keys, values  [layer] [max_rows, kv_heads, capacity, dim], row r's tokens in [:length_r]

A row's own tokens begin behind its prefix; positions are already in the keys, so neither knows of the other. Prefixes of similar
length lie side by side, so that one attention call serves the rows of all of them.
"""

import heapq
from dataclasses import dataclass

import torch
from torch import Tensor

_FIRST_CAPACITY = 64
_FIRST_PLACES = 8


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Shape of one layer's keys and values."""

    heads: int
    key_dim: int
    value_dim: int

    @property
    def width(self) -> int:
        """Elements a token takes."""
        return self.heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the KV of a token is laid out over layers; flat form: [tokens, width], per layer its keys, then its values."""

    layers: tuple[LayerShape, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def width(self) -> int:
        """Elements a token takes in all layers."""
        return sum(layer.width for layer in self.layers)

    def empty(self, *shape: int) -> Tensor:
        """A tensor of this type and place."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)


class _Buffer:
    """Keys and values per layer, [places, heads, capacity, dim], zero where nothing was written."""

    def __init__(self, layout: Layout, places: int, capacity: int) -> None:
        self._layout = layout
        self.places, self.capacity = places, capacity
        # Zeros, since a masked place still enters the product: 0 * NaN would be NaN.
        self.keys = [
            layout.empty(places, shape.heads, capacity, shape.key_dim).zero_()
            for shape in layout.layers
        ]
        self.values = [
            layout.empty(places, shape.heads, capacity, shape.value_dim).zero_()
            for shape in layout.layers
        ]

    def grown(self, places: int, capacity: int) -> "_Buffer":
        """A larger buffer that holds what this one does."""
        larger = _Buffer(self._layout, places, capacity)
        for new, old in zip(
            (*larger.keys, *larger.values), (*self.keys, *self.values), strict=True
        ):
            new[: self.places, :, : self.capacity] = old
        return larger

    def clear(self, place: int) -> None:
        """Zero a place."""
        for kv in (*self.keys, *self.values):
            kv[place].zero_()

    def flat(self, place: int, tokens: slice) -> Tensor:
        """The flat form of some tokens of a place."""
        pieces = [
            kv[place, :, tokens] for pair in zip(self.keys, self.values, strict=True) for kv in pair
        ]
        return torch.cat([piece.transpose(0, 1).flatten(1) for piece in pieces], 1)


class PrefixPool:
    """The prefixes of one size class, up to `capacity` tokens each.

    Attributes:
        buffer: their keys and values, by place.
    """

    def __init__(self, layout: Layout, capacity: int) -> None:
        self.layout = layout
        self.buffer = _Buffer(layout, _FIRST_PLACES, capacity)
        self._free = list(range(_FIRST_PLACES))

    def take(self) -> int:
        """The lowest free place."""
        if not self._free:
            places = self.buffer.places
            self.buffer = self.buffer.grown(2 * places, self.buffer.capacity)
            self._free = list(range(places, 2 * places))
        return heapq.heappop(self._free)

    def give_back(self, place: int) -> None:
        """Free a place."""
        heapq.heappush(self._free, place)


class PrefixKV:
    """KV of one request's prefix, filled in by the store and then, for the rest, by the forward that encodes it.

    Attributes:
        pool: where it lies.
        place: its place there.
        tokens: its length.
        known: how many of the first tokens are filled in.
    """

    __slots__ = ("known", "place", "pool", "tokens")

    def __init__(self, pool: PrefixPool, tokens: int) -> None:
        self.pool = pool
        self.place = pool.take()
        self.tokens = tokens
        self.known = 0

    def release(self, *, damaged: bool = False) -> None:
        """Give the place back; what may hold NaN is zeroed."""
        if damaged:
            self.pool.buffer.clear(self.place)
        self.pool.give_back(self.place)

    def layer(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, [1, heads, tokens, dim]; views."""
        buffer, here = self.pool.buffer, slice(self.place, self.place + 1)
        return buffer.keys[layer][here, :, : self.tokens], buffer.values[layer][
            here, :, : self.tokens
        ]

    def fill(self, flat: Tensor) -> None:
        """Take the KV of the first tokens from the flat form [tokens, width]."""
        self.known, start = len(flat), 0
        for layer, shape in enumerate(self.pool.layout.layers):
            keys, values = self.layer(layer)
            middle, end = start + shape.heads * shape.key_dim, start + shape.width
            keys[0, :, : self.known] = (
                flat[:, start:middle].view(self.known, shape.heads, -1).transpose(0, 1)
            )
            values[0, :, : self.known] = (
                flat[:, middle:end].view(self.known, shape.heads, -1).transpose(0, 1)
            )
            start = end

    def flat(self, start: int) -> Tensor:
        """The flat form of the tokens from `start` on."""
        return self.pool.buffer.flat(self.place, slice(start, self.tokens))


class PrefixPools:
    """Places for prefixes of any length, in size classes that double."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._pools: dict[int, PrefixPool] = {}

    def place(self, tokens: int) -> PrefixKV:
        """Room for a prefix of this many tokens."""
        capacity = max(_FIRST_CAPACITY, 1 << (tokens - 1).bit_length())
        if capacity not in self._pools:
            self._pools[capacity] = PrefixPool(self._layout, capacity)
        return PrefixKV(self._pools[capacity], tokens)


class RowKV:
    """KV that rows wrote behind their prefixes; the buffer grows by doubling."""

    def __init__(self, layout: Layout, max_rows: int) -> None:
        self._buffer = _Buffer(layout, max_rows, 0)

    @property
    def keys(self) -> list[Tensor]:
        """Per layer [max_rows, heads, capacity, key_dim]."""
        return self._buffer.keys

    @property
    def values(self) -> list[Tensor]:
        """Per layer [max_rows, heads, capacity, value_dim]."""
        return self._buffer.values

    def reserve(self, tokens: int) -> None:
        """Make room for rows of this many tokens; what they hold is kept."""
        buffer = self._buffer
        if tokens > buffer.capacity:
            capacity = max(_FIRST_CAPACITY, 2 * buffer.capacity, 1 << (tokens - 1).bit_length())
            self._buffer = buffer.grown(buffer.places, capacity)

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a row's tokens into another row's place."""
        for kv in (*self.keys, *self.values):
            kv[target, :, :tokens] = kv[source, :, :tokens]

    def clear(self, row: int) -> None:
        """Zero a row, as is needed once it may hold NaN."""
        self._buffer.clear(row)

    def flat(self, row: int, tokens: int) -> Tensor:
        """The flat form of a row's first tokens."""
        return self._buffer.flat(row, slice(tokens))
