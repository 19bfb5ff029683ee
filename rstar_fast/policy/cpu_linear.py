"""Linear layers on the CPU, whose weights lie in memory as products of few tokens need them.

A step multiplies each weight by the 8 to 128 tokens of that step. Left as they are, weights are
packed again in every call. docs/benchmarks.md has what follows as a table.

- Packed once for oneDNN, layers in bfloat16 are 1.5 to 2 times as fast at up to 32 tokens a call.
  So are wide ones in float32, which have more outputs than inputs.
- Stored by inputs, that is as [in_features, out_features], all other layers in float32 are 1.1 to
  1.5 times as fast, small ones among them. From 512 tokens on it is the same.
"""

import torch
from torch import Tensor, nn

_TYPICAL_TOKENS = 32
_WIDE_WEIGHTS = 500_000
"""Number of weights from which a wide layer in float32 is packed."""


class _PackedLinear(nn.Module):
    """An `nn.Linear` for inference, whose weight has oneDNN's opaque layout."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(
            linear.weight.detach(), _TYPICAL_TOKENS
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [..., in_features] to outputs [..., out_features]."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._packed, self.bias, "none", [], ""
        )
        return out


def arrange_linears(model: nn.Module) -> None:
    """Let the weights of a model's linear layers on the CPU lie as few tokens need them.

    They are packed, or stored by inputs. The model is changed, and is for inference from now on. A
    layer stays as it is where this torch or this processor gains nothing. Weights that a layer
    shares with another are kept twice.
    """
    packable = _packable_types()
    by_inputs = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and child.weight.device.type == "cpu"
    ]
    for parent, name, linear in found:
        dtype = linear.weight.dtype
        if dtype in packable and (dtype == torch.bfloat16 or _is_wide(linear)):
            setattr(parent, name, _PackedLinear(linear))
        elif dtype == torch.float32 and by_inputs:
            weight = linear.weight.detach().t().contiguous().t()
            linear.weight = nn.Parameter(weight, requires_grad=False)


def _is_wide(linear: nn.Linear) -> bool:
    return linear.out_features > linear.in_features and linear.weight.numel() >= _WIDE_WEIGHTS


def _packable_types() -> set[torch.dtype]:
    """Return the types whose layers this torch and this processor can pack."""
    operators = torch.ops.mkldnn
    needed = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    types: set[torch.dtype] = set()
    if all(hasattr(operators, name) for name in needed):
        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            types.add(torch.float32)
        if operators._is_mkldnn_bf16_supported():
            types.add(torch.bfloat16)
    return types
