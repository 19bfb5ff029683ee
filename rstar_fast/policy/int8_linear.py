"""Linear layers in int8 on the CPU (W8A8): oneDNN's product of int8 weights and 8-bit inputs.

Weights have a scale for each output channel. Inputs are quantized while the model runs, with a
scale for each token: one for the whole call, as `torch.ao.nn.quantized.dynamic.Linear` has it,
would make a token's result depend on the others of its batch. The sums are exact, so that they do
not depend on the shape of the product either.
"""

import torch
from torch import Tensor, nn

from rstar_fast.errors import ConfigError
from rstar_fast.models import INT8

_LARGEST = 126
"""Largest quantized input. A scale that is rounded to bfloat16 makes it 127 at most."""
_ZERO = 128
"""Byte of an input of 0."""
_TINY = 1e-30


class _Inputs:
    """The newest inputs of a model's int8 layers, quantized.

    The query, key and value layers of an attention have the same inputs, and so have the gate and
    the up layer. They are quantized once.
    """

    def __init__(self) -> None:
        self._newest: tuple[Tensor, Tensor, Tensor] | None = None

    def quantized(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs [tokens, features] as uint8, and scales of their type [tokens, 1]."""
        if self._newest is None or self._newest[0] is not inputs:
            exact = inputs.float()
            largest = torch.maximum(exact.amax(-1, keepdim=True), -exact.amin(-1, keepdim=True))
            scales = (largest / _LARGEST).clamp_(min=_TINY).to(inputs.dtype)
            quantized = exact.mul_(scales.float().reciprocal()).round_().add_(_ZERO).to(torch.uint8)
            self._newest = inputs, quantized, scales
        return self._newest[1:]


class _Int8Linear(nn.Module):
    """An `nn.Linear` for inference with weights in int8."""

    def __init__(self, linear: nn.Linear, inputs: _Inputs) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self._inputs = inputs
        weight = linear.weight.detach().to(torch.float32, copy=True)
        self._scales = (weight.abs().amax(1) / 127).clamp_(min=_TINY)
        self._zeros = torch.zeros(self.out_features, dtype=torch.int32)
        quantized = weight.div_(self._scales[:, None]).round_().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(quantized, None)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [..., in_features] to outputs [..., out_features]."""
        quantized, scales = self._inputs.quantized(inputs)
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            quantized,
            1.0,
            _ZERO,
            self._packed,
            self._scales,
            self._zeros,
            None,
            1.0,
            0,
            inputs.dtype,
            "none",
            [],
            "",
        )
        return out.mul_(scales) if self.bias is None else torch.addcmul(self.bias, out, scales)


def check_int8(device: torch.device) -> None:
    """Raise an error unless int8 layers run on a device.

    Raises:
        ConfigError: The device is no CPU, or torch or the processor has no int8 products.
    """
    if device.type != "cpu":
        raise ConfigError(
            f"dtype {INT8}: only the CPU has int8 layers, and the device is {device}; "
            "leave dtype out, or choose device cpu"
        )
    if not hasattr(torch.ops.onednn, "qlinear_pointwise") or not torch.cpu._is_vnni_supported():
        raise ConfigError(
            f"dtype {INT8}: expected a processor with AVX-512 VNNI and a torch with oneDNN; "
            "take bfloat16 or float32"
        )


def quantize_linears(model: nn.Module) -> None:
    """Replace all plain linear layers of a model by int8 ones. The model is changed."""
    inputs = _Inputs()
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]
    for parent, name, child in found:
        setattr(parent, name, _Int8Linear(child, inputs))
