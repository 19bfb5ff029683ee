"""The same by torch's FlexAttention, its block mask made from our lists.

On a CPU it is there to compare with, no more: without gradients (torch has none for it) and not compiled (the code that torch 2.13
generates for such masks is not valid C++), so it makes all scores at once.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from rstar_fast._core import BlockLists
from rstar_fast.errors import KernelError
from rstar_fast.kernels.tree_attention.layout import TreeLayout

_BLOCK = 128


def attend(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """See `tree_attention`."""
    if query.device.type == "cpu":
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value)):
            raise KernelError(
                "tree_attention: impl='flex' has no backward on a CPU; impl='blockwise' has"
            )
        # Torch refuses whatever could ask for gradients, where they are turned off too.
        query, key, value = query.detach(), key.detach(), value.detach()
    mask = layout.kept.get(("flex", window))
    if mask is None:
        mask = layout.kept["flex", window] = _block_mask(layout, window)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        run: Any = flex_attention if query.device.type == "cpu" else _compiled()
        out: Tensor = run(
            query[None], key[None], value[None], block_mask=mask, scale=scale, enable_gqa=True
        )
    return out[0]


@cache
def _compiled() -> Callable[..., Any]:
    # With dynamic=False every new length is compiled anew.
    return torch.compile(flex_attention, dynamic=True)


def _block_mask(layout: TreeLayout, window: int | None) -> BlockMask:
    queries, end, position = (layout.tensor(name) for name in ("queries", "end", "position"))

    def sees(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        index = queries[q]
        seen = (k <= index) & (index < end[k])
        return seen if window is None else seen & (position[index] - position[k] < window)

    lists = layout.blocks(_BLOCK, _BLOCK, window)
    partial = _dense(lists, lists.split, lists.offsets[1:], layout)
    full = _dense(lists, lists.offsets[:-1], lists.split, layout)
    lengths = (layout.num_queries, layout.num_keys)
    return BlockMask.from_kv_blocks(
        *partial, *full, BLOCK_SIZE=_BLOCK, mask_mod=sees, seq_lengths=lengths
    )


def _dense(lists: BlockLists, begins: Any, ends: Any, layout: TreeLayout) -> tuple[Tensor, Tensor]:
    """The lists as FlexAttention wants them: counts [1, 1, rows] and indices [1, 1, rows, columns], unused ones 0."""
    columns = -(-layout.num_keys // _BLOCK)
    counts = torch.from_numpy(ends - begins)
    indices = torch.zeros(len(begins), columns, dtype=torch.int32)
    for row, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        indices[row, : end - begin] = torch.from_numpy(lists.blocks[begin:end].copy())
    return counts[None, None].to(layout.device), indices[None, None].to(layout.device)
