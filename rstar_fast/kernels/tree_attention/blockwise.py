"""Tree attention in torch, block by block of queries.

Each block of queries gathers the blocks of keys that it sees, and attends to them by torch's own
attention under a mask of that size. So there is no mask of all queries by all keys. A path from the
root is a few runs of adjacent blocks. Runs and masks are made once for all layers.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rstar_fast.kernels.tree_attention.layout import TreeLayout

_BLOCK_QUERIES = 128
_BLOCK_KEYS = 16


def tree_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """Attend on any device, differentiable. See `api.tree_attention`."""
    heads, num_queries, dim = query.shape
    grouped = query.view(len(key), -1, num_queries, dim)
    blocks: list[tuple[list[tuple[int, int]], Tensor]] | None = layout.kept.get(
        ("blockwise", window, query.dtype)
    )
    if blocks is None:
        blocks = layout.kept["blockwise", window, query.dtype] = list(
            _visible(layout, window, query.dtype)
        )
    parts = []
    for i, (runs, mask) in enumerate(blocks):
        begin, end = i * _BLOCK_QUERIES, (i + 1) * _BLOCK_QUERIES
        keys, values = _gather(key, runs), _gather(value, runs)
        group = grouped.shape[1]
        parts.append(
            F.scaled_dot_product_attention(
                grouped[:, :, begin:end],
                keys[:, None].expand(-1, group, -1, -1),
                values[:, None].expand(-1, group, -1, -1),
                attn_mask=mask,
                scale=scale,
            )
        )
    if not parts:
        return torch.empty_like(query)
    return torch.cat(parts, 2).view(heads, num_queries, dim)


def _visible(
    layout: TreeLayout, window: int | None, dtype: torch.dtype
) -> Iterator[tuple[list[tuple[int, int]], Tensor]]:
    """Yield, for each block of queries, its runs of visible keys, half-open, and their mask."""
    lists = layout.blocks(_BLOCK_QUERIES, _BLOCK_KEYS, window)
    for i, (begin, end) in enumerate(zip(lists.offsets[:-1], lists.offsets[1:], strict=True)):
        blocks = np.sort(lists.blocks[begin:end])
        for_runs = np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1)
        runs = [
            (int(run[0]) * _BLOCK_KEYS, min((int(run[-1]) + 1) * _BLOCK_KEYS, layout.num_keys))
            for run in for_runs
        ]
        queries = layout.queries[i * _BLOCK_QUERIES : (i + 1) * _BLOCK_QUERIES, None]
        yield runs, _mask(layout, queries, runs, window, dtype)


def _gather(rows: Tensor, runs: list[tuple[int, int]]) -> Tensor:
    pieces = [rows[:, begin:end] for begin, end in runs]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)


def _mask(
    layout: TreeLayout,
    queries: NDArray[np.int32],
    runs: list[tuple[int, int]],
    window: int | None,
    dtype: torch.dtype,
) -> Tensor:
    """Return the additive mask [queries, keys of the runs], for packed indices [queries, 1]."""
    keys: NDArray[np.int64] = np.concatenate([np.arange(*run) for run in runs])
    hidden = (keys > queries) | (queries >= layout.end[keys])
    if window is not None:
        hidden |= layout.position[queries] - layout.position[keys] >= window
    # The mask is made on the CPU, where the arrays are, even if torch's default device is a GPU.
    mask = torch.zeros(hidden.shape, dtype=dtype, device="cpu")
    # -inf would be wrong: a kernel that reads the keys in parts may see no key of a part.
    return mask.masked_fill_(torch.from_numpy(hidden), torch.finfo(dtype).min).to(layout.device)
