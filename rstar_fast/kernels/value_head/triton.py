"""The launchers of the value head's Triton kernels."""

from typing import Any

import torch
import triton
from torch import Tensor

from rstar_fast.kernels.launch import check, launch
from rstar_fast.kernels.value_head.configs import (
    BLOCK_COLUMNS,
    BLOCK_SCORES,
    BLOCK_WIDTH,
    NUM_WARPS,
)
from rstar_fast.kernels.value_head.triton_kernels import backward_rows, backward_weights, forward


def value_head(
    hidden: Tensor,
    index: Tensor,
    norm_weight: Tensor,
    head_weight: Tensor,
    eps: float,
    bias: float,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Compute values and scores on a GPU, differentiable. See `api.value_head`."""
    check("value_head", hidden, norm_weight, head_weight)
    values: Tensor = _Values.apply(  # type: ignore[no-untyped-call]
        hidden, index, norm_weight, head_weight, eps
    )
    return values, torch.tanh((values + bias) / scale)


class _Values(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        index: Tensor,
        norm_weight: Tensor,
        head_weight: Tensor,
        eps: float,
    ) -> Tensor:
        hidden = hidden.contiguous()
        values = hidden.new_empty(len(index), dtype=torch.float32)
        inverse_rms = torch.empty_like(values)
        arguments = (hidden, index, norm_weight, head_weight)
        width = hidden.shape[1]
        launch(
            forward,
            (len(index),),
            *arguments,
            values,
            inverse_rms,
            width,
            eps,
            BLOCK_WIDTH=BLOCK_WIDTH,
            num_warps=NUM_WARPS,
        )
        ctx.save_for_backward(*arguments, values, inverse_rms)
        return values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, index, norm_weight, head_weight, values, inverse_rms = ctx.saved_tensors
        grad, (num_scores, width) = grad.float().contiguous(), (len(index), hidden.shape[1])
        grad_rows = hidden.new_empty(num_scores, width)
        launch(
            backward_rows,
            (num_scores, triton.cdiv(width, BLOCK_WIDTH)),
            hidden,
            index,
            norm_weight,
            head_weight,
            values,
            inverse_rms,
            grad,
            grad_rows,
            width,
            BLOCK_WIDTH=BLOCK_WIDTH,
            num_warps=NUM_WARPS,
        )
        grad_norm, grad_head = torch.empty_like(norm_weight), torch.empty_like(head_weight)
        launch(
            backward_weights,
            (triton.cdiv(width, BLOCK_COLUMNS),),
            hidden,
            index,
            norm_weight,
            head_weight,
            inverse_rms,
            grad,
            grad_norm,
            grad_head,
            num_scores,
            width,
            BLOCK_COLUMNS=BLOCK_COLUMNS,
            BLOCK_SCORES=BLOCK_SCORES,
            num_warps=NUM_WARPS,
        )
        # A row may occur several times: a step without tokens has the last token of its parent.
        return (
            torch.zeros_like(hidden).index_add_(0, index, grad_rows),
            None,
            grad_norm,
            grad_head,
            None,
        )
