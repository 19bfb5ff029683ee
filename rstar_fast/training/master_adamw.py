"""AdamW for bfloat16 weights. Updates are added up in float32, where small ones are not lost."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class MasterAdamW(torch.optim.AdamW):
    """AdamW over float32 copies of a model's weights. Every step sets the weights from the copies.

    All weights must be on one device.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        """Copy the trainable weights.

        Args:
            model: Model that is trained. `step` changes its weights.
            learning_rate: Learning rate, > 0.
            weight_decay: Weight decay, >= 0. Weights of one dimension (norms, biases) do not decay.
        """
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
        """Update the weights once by their gradients."""
        for weight, master in zip(self._weights, self._masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
        result = super().step(closure)
        torch._foreach_copy_(self._weights, self._masters)
        for master in self._masters:
            master.grad = None
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of the weights: drop them, or set them to zero."""
        for weight in self._weights:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.zero_()


def to_bfloat16(model: nn.Module) -> None:
    """Convert a model's weights to bfloat16 in place.

    Buffers (rotary frequencies) keep their dtype, as in a model that is loaded in bfloat16.
    """
    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16)
