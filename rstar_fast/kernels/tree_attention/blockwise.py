"""Block by block of queries over the keys it sees, by torch's own attention: any device, differentiable, no mask of queries x keys.

Each block of queries gathers its visible blocks of keys (a path from the root is a few runs of them) and attends under a mask of
that size. Runs and masks serve all layers.
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


def attend(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """See `tree_attention`."""
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
    """Per block of queries, the half-open runs of keys that its visible blocks make up, and the mask over them."""
    lists = layout.blocks(_BLOCK_QUERIES, _BLOCK_KEYS, window)
    for i, (begin, end) in enumerate(zip(lists.offsets[:-1], lists.offsets[1:], strict=True)):
        blocks = np.sort(lists.blocks[begin:end])
        for_runs = np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1)
        runs = [
            (int(run[0]) * _BLOCK_KEYS, min((int(run[-1]) + 1) * _BLOCK_KEYS, layout.num_keys))
            for run in for_runs
        ]
        yield (
            runs,
            _mask(
                layout,
                layout.queries[i * _BLOCK_QUERIES : (i + 1) * _BLOCK_QUERIES, None],
                runs,
                window,
                dtype,
            ),
        )


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
    """Additive [queries, keys of the runs], for queries [queries, 1]."""
    keys: NDArray[np.int64] = np.concatenate([np.arange(*run) for run in runs])
    hidden = (keys > queries) | (queries >= layout.end[keys])
    if window is not None:
        hidden |= layout.position[queries] - layout.position[keys] >= window
    mask = torch.zeros(hidden.shape, dtype=dtype)
    # Not -inf: a kernel that goes over the keys in parts may see nothing in one of them.
    return mask.masked_fill_(torch.from_numpy(hidden), torch.finfo(dtype).min).to(layout.device)
