"""Tree attention in Triton: launchers of the forward and backward kernels.

A program owns a tile of rows (a run of tokens times the heads of one group) and goes over the tiles of keys that its block list
names: first those that are seen in full, without a mask, then the partial ones. No program touches another's results, so every run
gives the same bits.
"""

from typing import Any

import torch
from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.launch import check, launch, target
from rstar_fast.kernels.tree_attention.configs import Config, config_for
from rstar_fast.kernels.tree_attention.layout import TreeLayout
from rstar_fast.kernels.tree_attention.triton_kernels import backward_key, backward_query, forward

_LOG2_E = 1.4426950408889634


def attend(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """See `tree_attention`."""
    check("tree_attention", query, key, value)
    out: Tensor = _TreeAttention.apply(query, key, value, layout, scale, window)  # type: ignore[no-untyped-call]
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
        query, key, value = map(_rows, (query, key, value))
        out = _empty_like(query)
        # Of the softmax's denominator, to the base of two.
        log_sum = query.new_empty(query.shape[:2], dtype=torch.float32)
        config, group = _config("forward", query, key)
        blocks = layout.device_blocks(config.block_rows // group, config.block_keys, window)
        grid = (len(blocks.split), len(key))
        launch(
            forward, grid, query, key, value, out, log_sum,
            *_shared(query, key, layout, blocks, scale, window), out.stride(0), out.stride(1),
            **_options(config, query, key, window),
        )  # fmt: skip
        ctx.save_for_backward(query, key, value, out, log_sum)
        ctx.layout, ctx.scale, ctx.window = layout, scale, window
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, log_sum = ctx.saved_tensors
        layout, scale, window = ctx.layout, ctx.scale, ctx.window
        grad = _rows(grad)
        delta = (out.float() * grad.float()).sum(-1)
        grad_query, grad_key, grad_value = map(_empty_like, (query, key, value))

        config, group = _config("backward_query", query, key)
        blocks = layout.device_blocks(config.block_rows // group, config.block_keys, window)
        launch(
            backward_query, (len(blocks.split), len(key)), query, key, value, grad, log_sum, delta, grad_query,
            *_shared(query, key, layout, blocks, scale, window), grad.stride(0), grad.stride(1),
            grad_query.stride(0), grad_query.stride(1),
            **_options(config, query, key, window),
        )  # fmt: skip

        config, group = _config("backward_key", query, key)
        blocks = layout.device_blocks(
            config.block_rows // group, config.block_keys, window, by_key=True
        )
        launch(
            backward_key, (len(blocks.split), len(key)), query, key, value, grad, log_sum, delta, grad_key, grad_value,
            *_shared(query, key, layout, blocks, scale, window), grad.stride(0), grad.stride(1),
            grad_key.stride(0), grad_key.stride(1),
            **_options(config, query, key, window),
        )  # fmt: skip
        return grad_query, grad_key, grad_value, None, None, None


def _config(kernel: str, query: Tensor, key: Tensor) -> tuple[Config, int]:
    """A kernel's configuration, and the heads that share keys."""
    group = len(query) // len(key)
    config = config_for(kernel, target(), query.shape[-1], query.element_size())
    if group > config.block_rows:
        raise KernelError(
            f"tree_attention: impl='triton' takes up to {config.block_rows} query heads per kv head, got {group}"
        )
    return config, group


def _shared(
    query: Tensor, key: Tensor, layout: TreeLayout, blocks: Any, scale: float, window: int | None
) -> tuple[Any, ...]:
    """The arguments that all kernels take, behind their own tensors."""
    return (
        layout.tensor("queries"), layout.tensor("end"), layout.tensor("position"), blocks.offsets, blocks.split, blocks.blocks,
        layout.num_queries, layout.num_keys, scale * _LOG2_E, scale, window or 0,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1),
    )  # fmt: skip


def _options(config: Config, query: Tensor, key: Tensor, window: int | None) -> dict[str, Any]:
    dim = query.shape[-1]
    return {
        "GROUP": len(query) // len(key),
        "DIM": dim,
        "BLOCK_DIM": max(16, 1 << (dim - 1).bit_length()),
        "BLOCK_ROWS": config.block_rows,
        "BLOCK_KEYS": config.block_keys,
        "WINDOWED": window is not None,
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
    }


def _rows(tensor: Tensor) -> Tensor:
    """With elements of a row next to one another; key and value are then laid out alike, as the kernels expect."""
    return tensor.contiguous()


def _empty_like(tensor: Tensor) -> Tensor:
    """[heads, tokens, dim] over storage [tokens, heads, dim], which is what models go on with."""
    heads, tokens, dim = tensor.shape
    return tensor.new_empty(tokens, heads, dim).transpose(0, 1)
