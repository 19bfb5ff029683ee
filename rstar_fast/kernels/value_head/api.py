"""The front door of the value head. It checks the arguments and calls one implementation."""

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose

_IMPLS = ("reference", "triton")


def value_head(
    hidden: Tensor,
    index: Tensor,
    norm_weight: Tensor,
    head_weight: Tensor,
    *,
    eps: float,
    bias: float = 0.0,
    scale: float = 1.0,
    impl: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the values and scores of some rows: root-mean-square norm, projection and tanh.

    For a row x, value = sum(x * norm_weight * head_weight) / sqrt(mean(x ** 2) + eps), and score =
    tanh((value + bias) / scale). The normed rows are never written to memory.

    Args:
        hidden: Results of the model's last layer, before its final norm, floating [tokens, width].
        index: Rows to score, int64 [scores]. A row may occur several times.
        norm_weight: Weight of the norm, [width].
        head_weight: Weight of the projection, [width].
        eps: Number that the norm adds to the mean square.
        bias: Number that is added to the value. See `PPM.bias`.
        scale: Divisor of the sum of value and bias, > 0. See `PPM.scale`.
        impl: Implementation: "reference" (torch, any device) or "triton". None picks triton on a
            GPU, and reference elsewhere.

    Returns:
        Values and scores, both [scores], float32 (float64 for float64 rows). They are
        differentiable in `hidden` and both weights.

    Raises:
        KernelError: Shapes or devices do not fit together, `scale` is not above 0, or the
            implementation cannot run.
    """
    width = hidden.shape[-1]
    if (
        hidden.ndim != 2
        or index.ndim != 1
        or norm_weight.shape != (width,)
        or head_weight.shape != (width,)
    ):
        shapes = ", ".join(
            str(list(tensor.shape)) for tensor in (hidden, index, norm_weight, head_weight)
        )
        raise KernelError(
            f"value_head: expected [tokens, width], [scores], [width] and [width], got {shapes}"
        )
    if not hidden.device == index.device == norm_weight.device == head_weight.device:
        raise KernelError(
            "value_head: expected all tensors on one device, got "
            f"{hidden.device}, {index.device}, {norm_weight.device}, {head_weight.device}"
        )
    if scale <= 0:
        raise KernelError(f"value_head: scale: expected a number above 0, got {scale}")
    run = choose("value_head", _IMPLS, impl, hidden.device)
    found: tuple[Tensor, Tensor] = run(hidden, index, norm_weight, head_weight, eps, bias, scale)
    return found
