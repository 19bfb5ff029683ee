"""Where the keys and values of each new token lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast.errors import KernelError

COLUMNS = 6
"""Number of a table's columns."""


@dataclass(frozen=True)
class KeptTable:
    """A table that says, for each new token, where its keys and values lie.

    They lie in buffers [layers, 2, places, kv_heads, capacity, dim]: index 0 of the second
    dimension has the keys. A token sees the first tokens of a place in a buffer of prefixes, and
    then the first tokens of a place in the buffer of rows. Its own key and value are the last that
    it sees.

    Attributes:
        entries: Entries, int32 [6, tokens]. Row 0 has the packed position of the token. Rows 1 to 3
            have the number of its prefix's buffer among those of prefixes, the place in it, and the
            number of tokens there. An entry with 0 tokens stands for nothing. Rows 4 and 5 have the
            place in the buffer of rows, -1 for none, and the number of tokens there, the new one
            included.
        buffers: The buffer of rows, then those of prefixes, int64 [3, buffers], on the same device.
            The rows are the address of the first element, the number of places, and the capacity.
        tensors: The buffers themselves. Empty if only their addresses are known.
        kv_heads: Number of key heads.
        dim: Head dimension.
        dtype: Dtype of the buffers.
    """

    entries: Tensor
    buffers: Tensor
    tensors: tuple[Tensor, ...]
    kv_heads: int
    dim: int
    dtype: torch.dtype

    @classmethod
    def of(cls, prefixes: Sequence[Tensor], own: Tensor, entries: NDArray[np.int32]) -> "KeptTable":
        """Return the table of some buffers, on their device.

        Args:
            prefixes: Buffers of prefixes, at least one.
            own: Buffer of rows.
            entries: Entries, int32 [tokens, 6].

        Raises:
            KernelError: Buffers differ in more than places and capacity, or an entry names a place
                or token that is not there.
        """
        tensors = (own, *prefixes)
        _check_buffers(tensors)
        _check_entries(tensors, entries)
        buffers = [
            [b.data_ptr() for b in tensors],
            *([b.shape[i] for b in tensors] for i in (2, 4)),
        ]
        return cls(
            torch.from_numpy(np.ascontiguousarray(entries.T)).to(own.device),
            torch.tensor(buffers, dtype=torch.int64).to(own.device),
            tensors,
            own.shape[3],
            own.shape[5],
            own.dtype,
        )


def _check_buffers(tensors: Sequence[Tensor]) -> None:
    forms = {
        (b.dtype, b.device, b.shape[0], b.shape[3], b.shape[5])
        for b in tensors
        if b.ndim == 6 and b.shape[1] == 2 and b.is_contiguous()
    }
    if len(tensors) < 2 or len(forms) != 1 or any(b.ndim != 6 for b in tensors):
        raise KernelError(
            "kept_attention: expected dense buffers [layers, 2, places, kv_heads, capacity, dim] "
            "of one dtype and device, equal but for places and capacity, got "
            f"{[(list(b.shape), b.dtype, str(b.device)) for b in tensors]}"
        )


def _check_entries(tensors: Sequence[Tensor], entries: NDArray[np.int32]) -> None:
    if entries.ndim != 2 or entries.shape[1] != COLUMNS or entries.dtype != np.int32:
        raise KernelError(
            f"kept_attention: expected entries int32 [tokens, {COLUMNS}], got {entries.dtype} "
            f"{list(entries.shape)}"
        )
    token, buffer, place, prefix_tokens, row, row_tokens = entries.T
    (rows, most), *others = [(b.shape[2], b.shape[4]) for b in tensors]
    places, capacity = np.array(others).T
    here = np.clip(buffer, 0, len(others) - 1)
    fits = (token >= 0) & (buffer == here) & (place >= 0) & (place < places[here])
    fits &= (prefix_tokens >= 1) & (prefix_tokens <= capacity[here])
    fits &= (row < 0) | ((row < rows) & (row_tokens >= 1) & (row_tokens <= most))
    if not fits.all():
        wrong = int(np.flatnonzero(~fits)[0])
        raise KernelError(
            f"kept_attention: entry {wrong} names a place or token that is not there: "
            f"{entries[wrong].tolist()}"
        )
