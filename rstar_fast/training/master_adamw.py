"""AdamW for bfloat16 weights: the sums are kept in float32, where small updates are not lost."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class MasterAdamW(torch.optim.AdamW):
    """AdamW over float32 copies of a model's weights, which are set from them after every step. For weights on one device."""

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        """Copy the trainable weights; those of one dimension (norms, biases) do not decay."""
        self._weights: list[Tensor] = [
            weight for weight in model.parameters() if weight.requires_grad
        ]
        self._masters = [weight.detach().float().clone() for weight in self._weights]
        decayed = [master for master in self._masters if master.ndim > 1]
        others = [master for master in self._masters if master.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        super().__init__(
            [group for group in groups if group["params"]], lr=learning_rate, fused=True
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update by the weights' gradients."""
        for weight, master in zip(self._weights, self._masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
        result = super().step(closure)
        torch._foreach_copy_(self._weights, self._masters)
        for master in self._masters:
            master.grad = None
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the weights' gradients."""
        for weight in self._weights:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.zero_()


def to_bfloat16(model: nn.Module) -> None:
    """Make weights bfloat16; buffers (rotary frequencies) stay as they are, as in a loaded model."""
    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16)
