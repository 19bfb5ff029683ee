"""Keys and values: of a prefix that several rows share, and of what each row wrote itself.

    prefix (one per request)   keys, values  [layer] [1, kv_heads, prefix_tokens, dim]
    rows   (one buffer)        keys, values  [layer] [max_rows, kv_heads, capacity, dim], row r's tokens in [:length_r]

A row's own tokens begin behind its prefix; positions are already in the keys, so neither knows of the other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_FIRST_CAPACITY = 64


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


class PrefixKV:
    """KV of one request's prefix, filled in by the store and then, for the rest, by the forward that encodes it.

    Attributes:
        keys: per layer [1, heads, tokens, key_dim].
        values: per layer [1, heads, tokens, value_dim].
        known: how many of the first tokens are filled in.
    """

    __slots__ = ("_layout", "keys", "known", "values")

    def __init__(self, layout: Layout, tokens: int) -> None:
        self._layout = layout
        self.keys = [layout.empty(1, shape.heads, tokens, shape.key_dim) for shape in layout.layers]
        self.values = [layout.empty(1, shape.heads, tokens, shape.value_dim) for shape in layout.layers]
        self.known = 0

    def fill(self, flat: Tensor) -> None:
        """Take the KV of the first tokens from the flat form [tokens, width]."""
        self.known, start = len(flat), 0
        for keys, values, shape in zip(self.keys, self.values, self._layout.layers, strict=True):
            middle, end = start + shape.heads * shape.key_dim, start + shape.width
            keys[0, :, : self.known] = flat[:, start:middle].view(self.known, shape.heads, -1).transpose(0, 1)
            values[0, :, : self.known] = flat[:, middle:end].view(self.known, shape.heads, -1).transpose(0, 1)
            start = end

    def flat(self, start: int) -> Tensor:
        """The flat form of the tokens from `start` on."""
        return _flatten([kv[0, :, start:] for pair in zip(self.keys, self.values, strict=True) for kv in pair])


class RowKV:
    """KV that rows wrote behind their prefixes; the buffers grow by doubling."""

    def __init__(self, layout: Layout, max_rows: int) -> None:
        self._layout = layout
        self._max_rows = max_rows
        self._capacity = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def reserve(self, tokens: int) -> None:
        """Make room for rows of this many tokens; what they hold is kept."""
        if tokens <= self._capacity:
            return
        capacity = max(_FIRST_CAPACITY, 2 * self._capacity, 1 << (tokens - 1).bit_length())
        shapes = self._layout.layers
        self.keys = self._grown(self.keys, [s.key_dim for s in shapes], capacity)
        self.values = self._grown(self.values, [s.value_dim for s in shapes], capacity)
        self._capacity = capacity

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a row's tokens into another row's place."""
        for kv in (*self.keys, *self.values):
            kv[target, :, :tokens] = kv[source, :, :tokens]

    def flat(self, row: int, tokens: int) -> Tensor:
        """The flat form of a row's first tokens."""
        return _flatten([kv[row, :, :tokens] for pair in zip(self.keys, self.values, strict=True) for kv in pair])

    def _grown(self, old: list[Tensor], dims: list[int], capacity: int) -> list[Tensor]:
        grown = []
        for layer, (shape, dim) in enumerate(zip(self._layout.layers, dims, strict=True)):
            # Zeros, since a masked place still enters the product: 0 * NaN would be NaN.
            new = self._layout.empty(self._max_rows, shape.heads, capacity, dim).zero_()
            if old:
                new[:, :, : self._capacity] = old[layer]
            grown.append(new)
        return grown


def _flatten(pieces: list[Tensor]) -> Tensor:
    """[heads, tokens, dim] per piece to [tokens, width]."""
    return torch.cat([piece.transpose(0, 1).flatten(1) for piece in pieces], 1)
