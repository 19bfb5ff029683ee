"""The definition of the value head in torch, which is also what runs on a CPU."""

import torch
from torch import Tensor


def value_head(
    hidden: Tensor,
    index: Tensor,
    norm_weight: Tensor,
    head_weight: Tensor,
    eps: float,
    bias: float,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Compute values and scores on any device, differentiable. See `api.value_head`."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    rows = hidden[index].to(dtype)
    values = (
        rows
        @ (norm_weight.to(dtype) * head_weight.to(dtype))
        * torch.rsqrt(rows.square().mean(-1) + eps)
    )
    return values, torch.tanh((values + bias) / scale)
