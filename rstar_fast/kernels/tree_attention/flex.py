"""Tree attention by torch's FlexAttention, with a block mask that is made of our block lists.

On a CPU it only serves comparisons. It has no gradients there, because torch has none for it. It is
not compiled there either, because the code that torch 2.13 generates for such masks is not valid
C++. So it makes the scores of all queries by all keys at once.
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


def tree_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """Attend, differentiable on a GPU. See `api.tree_attention`.

    Raises:
        KernelError: Gradients are asked for on a CPU.
    """
    if query.device.type == "cpu":
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value)):
            raise KernelError(
                "tree_attention: impl='flex' has no backward on a CPU; impl='blockwise' has"
            )
        # Even where gradients are turned off, torch refuses tensors that could ask for them.
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
    # With dynamic=False every new length would be compiled again.
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
    """Return the blocks `begins` to `ends` of each row in FlexAttention's form.

    Returns:
        Counts int32 [1, 1, rows] and indices int32 [1, 1, rows, columns], padded with 0.
    """
    columns = -(-layout.num_keys // _BLOCK)
    counts = torch.from_numpy(ends - begins)
    indices = torch.zeros(len(begins), columns, dtype=torch.int32, device="cpu")
    for row, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        indices[row, : end - begin] = torch.from_numpy(lists.blocks[begin:end].copy())
    return counts[None, None].to(layout.device), indices[None, None].to(layout.device)
