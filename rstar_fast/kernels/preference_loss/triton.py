"""The launcher of the preference loss's Triton kernel.

One launch computes the losses and their derivatives.
"""

from typing import Any

import torch
from torch import Tensor

from rstar_fast.kernels.launch import check, launch
from rstar_fast.kernels.preference_loss.configs import BLOCK, NUM_WARPS
from rstar_fast.kernels.preference_loss.groups import PairGroups
from rstar_fast.kernels.preference_loss.triton_kernels import loss_and_gradient


def preference_loss(scores: Tensor, groups: PairGroups) -> Tensor:
    """Compute the losses on a GPU, differentiable. See `api.preference_loss`."""
    check("preference_loss", scores)
    loss: Tensor = _PreferenceLoss.apply(scores, groups)  # type: ignore[no-untyped-call]
    return loss


class _PreferenceLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, groups: PairGroups) -> Tensor:
        loss = scores.new_empty(len(groups.split), dtype=torch.float32)
        # One slope for each entry, because a score may be in several groups.
        slope = scores.new_empty(len(groups.entries), dtype=torch.float32)
        launch(
            loss_and_gradient,
            (len(loss),),
            scores.contiguous(),
            groups.entries,
            groups.offsets,
            groups.split,
            loss,
            slope,
            BLOCK=BLOCK,
            num_warps=NUM_WARPS,
        )
        ctx.save_for_backward(scores, slope)
        ctx.groups = groups
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        scores, slope = ctx.saved_tensors
        groups: PairGroups = ctx.groups
        sizes = (groups.offsets[1:] - groups.offsets[:-1]).long()
        by_entry = slope * grad.float().repeat_interleave(sizes, output_size=len(slope))
        found = torch.zeros_like(scores, dtype=torch.float32).index_add_(
            0, groups.entries, by_entry
        )
        return found.to(scores.dtype), None
