"""The launchers of tree attention's Triton kernels.

A program owns a tile of rows: adjacent tokens, each with the query heads of one group. It goes over
the tiles of keys that its block list names, first over those that are seen in full, which need no
mask, then over the partial ones. `backward_key` owns a tile of keys and goes over tiles of rows.
Where one of its lists is long, several programs share it, and a last kernel adds up their sums in
order. No program touches the results of another, so every run gives the same bits.
"""

from typing import Any

import torch
from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.launch import LOG2_E, check, launch, padded, target
from rstar_fast.kernels.tree_attention.configs import Config, config_for
from rstar_fast.kernels.tree_attention.layout import DeviceBlocks, TreeLayout
from rstar_fast.kernels.tree_attention.triton_backward import (
    add_parts,
    backward_key,
    backward_query,
)
from rstar_fast.kernels.tree_attention.triton_forward import forward

_ADDED_ROWS = 16
"""Number of keys whose sums a program of `add_parts` adds up.

It divides `Config.block_keys` of every configuration of `backward_key`.
"""
_MAX_INT32 = (1 << 31) - 1


def tree_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """Attend on a GPU, differentiable. See `api.tree_attention`.

    Query, key and value are not copied where the elements of a row are adjacent, and key and value
    have equal strides.

    Raises:
        KernelError: The kernels do not take the tensors, their head dimension, or the number of
            query heads per key head.
    """
    check("tree_attention", query, key, value)
    if scale <= 0.0:
        # The kernels look for the largest product before they scale it.
        query, scale = query * scale, 1.0
    out: Tensor = _TreeAttention.apply(  # type: ignore[no-untyped-call]
        query, key, value, layout, scale, window
    )
    return out


class _TreeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        layout: TreeLayout,
        scale: float,
        window: int | None,
    ) -> Tensor:
        query, key, value = map(_with_adjacent_elements, (query, key, value))
        if key.stride() != value.stride():
            # The kernels take one pair of strides for both.
            key, value = (_empty_like(tensor).copy_(tensor) for tensor in (key, value))
        out = _empty_like(query)
        config, group = _config("forward", query, key)
        # In this order the rows of a tile are adjacent.
        log_sum = query.new_empty(len(key), query.shape[1], group, dtype=torch.float32)
        blocks = layout.device_blocks(config.block_rows // group, config.block_keys, window)
        launch(
            forward, (len(blocks.parts) * len(key),),
            query, key, value, out, log_sum,
            *_common_arguments(query, key, layout, blocks, scale, window),
            out.stride(0), out.stride(1),
            **_constants(config, query, key, layout, window),
        )  # fmt: skip
        ctx.save_for_backward(query, key, value, out, log_sum)
        ctx.layout, ctx.scale, ctx.window = layout, scale, window
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, log_sum = ctx.saved_tensors
        layout, scale, window = ctx.layout, ctx.scale, ctx.window
        grad = _with_adjacent_elements(grad)
        delta = log_sum.new_empty(log_sum.shape)
        grad_query, grad_key, grad_value = map(_empty_like, (query, key, value))

        config, group = _config("backward_query", query, key)
        blocks = layout.device_blocks(config.block_rows // group, config.block_keys, window)
        launch(
            backward_query, (len(blocks.parts) * len(key),),
            query, key, value, out, grad, log_sum, delta, grad_query,
            *_common_arguments(query, key, layout, blocks, scale, window),
            grad.stride(0), grad.stride(1), out.stride(0), out.stride(1),
            **_constants(config, query, key, layout, window),
        )  # fmt: skip

        config, group = _config("backward_key", query, key)
        blocks = layout.device_blocks(
            config.block_rows // group, config.block_keys, window, by_key=True
        )
        constants = _constants(config, query, key, layout, window)
        sums = log_sum.new_empty(
            blocks.num_slots, len(key), 2, config.block_keys, constants["BLOCK_DIM"]
        )
        launch(
            backward_key, (len(blocks.parts) * len(key),),
            query, key, value, grad, log_sum, delta, grad_key, grad_value, sums,
            *_common_arguments(query, key, layout, blocks, scale, window),
            grad.stride(0), grad.stride(1), grad_key.stride(0), grad_key.stride(1),
            **constants,
        )  # fmt: skip
        if blocks.num_slots:
            launch(
                add_parts, (len(blocks.joins) * len(key), config.block_keys // _ADDED_ROWS),
                sums, blocks.joins, grad_key, grad_value, len(key), layout.num_keys,
                grad_key.stride(0), grad_key.stride(1),
                DIM=constants["DIM"], BLOCK_DIM=constants["BLOCK_DIM"],
                BLOCK_KEYS=config.block_keys, BLOCK_ROWS=_ADDED_ROWS, num_warps=4,
            )  # fmt: skip
        return grad_query, grad_key, grad_value, None, None, None


def _config(kernel: str, query: Tensor, key: Tensor) -> tuple[Config, int]:
    """Return the configuration of a kernel, and the number of query heads per key head."""
    group = len(query) // len(key)
    config = config_for(kernel, target(), query.shape[-1], query.element_size())
    if group > config.block_rows:
        raise KernelError(
            f"tree_attention: impl='triton' takes up to {config.block_rows} query heads "
            f"per key head, got {group}"
        )
    return config, group


def _common_arguments(
    query: Tensor,
    key: Tensor,
    layout: TreeLayout,
    blocks: DeviceBlocks,
    scale: float,
    window: int | None,
) -> tuple[Any, ...]:
    """Return the arguments that all kernels take after their own tensors."""
    return (
        layout.tensor("queries"), layout.tensor("end"), layout.tensor("position"),
        blocks.parts, blocks.blocks,
        len(key), layout.num_queries, layout.num_keys, scale * LOG2_E, scale, window or 0,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1),
    )  # fmt: skip


def _constants(
    config: Config, query: Tensor, key: Tensor, layout: TreeLayout, window: int | None
) -> dict[str, Any]:
    """Return the constants that all kernels take, and Triton's options."""
    dim = query.shape[-1]
    return {
        "GROUP": len(query) // len(key),
        "DIM": dim,
        "BLOCK_DIM": padded(dim),
        "BLOCK_ROWS": config.block_rows,
        "BLOCK_KEYS": config.block_keys,
        "WINDOWED": window is not None,
        "ALL_ASK": layout.num_queries == layout.num_keys,
        "PRECISION": "ieee",
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
    }


def _with_adjacent_elements(tensor: Tensor) -> Tensor:
    """Return a tensor in which the elements of a row are adjacent, copied only if it must be.

    Heads and tokens may lie in either order. Offsets inside a tile are int32. A tensor that is too
    large for them is copied, with all heads of a token side by side.
    """
    if tensor.stride(-1) == 1 and len(tensor) * tensor.stride(0) < _MAX_INT32:
        return tensor
    return _empty_like(tensor).copy_(tensor)


def _empty_like(tensor: Tensor) -> Tensor:
    """Return a new tensor [heads, tokens, dim] over storage [tokens, heads, dim].

    Models go on with that order.
    """
    heads, tokens, dim = tensor.shape
    return tensor.new_empty(tokens, heads, dim).transpose(0, 1)
