"""The value head: arguments checked, one implementation called."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose


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
    """Root-mean-square norm, projection to one number and tanh, of some rows; the normed rows are never written.

    value = sum(x * norm_weight * head_weight) / sqrt(mean(x ** 2) + eps), score = tanh((value + bias) / scale).

    Args:
        hidden: [tokens, width], in front of the model's final norm.
        index: int64 [scores], the rows to score; repeats are fine.
        norm_weight: [width].
        head_weight: [width].
        eps: of the norm.
        bias: added to the value, see `PPM.bias`.
        scale: the sum is divided by it, > 0, see `PPM.scale`.
        impl: "reference" (torch, any device) or "triton"; None picks triton on a GPU, else reference.

    Returns:
        Values and scores, both [scores], float32 (float64 for float64 rows); differentiable in hidden and both weights.

    Raises:
        KernelError: shapes or devices do not fit together, or the implementation cannot run them.
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
            f"value_head: expected all tensors on one device, got {hidden.device}, {index.device}, {norm_weight.device}"
        )
    if scale <= 0:
        raise KernelError(f"value_head: scale: expected a number above 0, got {scale}")
    run = choose("value_head", _IMPLS, impl, hidden.device, "reference")
    found: tuple[Tensor, Tensor] = run(hidden, index, norm_weight, head_weight, eps, bias, scale)
    return found


def _reference() -> Callable[..., Any]:
    from rstar_fast.kernels.value_head.reference import value_head

    return value_head


def _triton() -> Callable[..., Any]:
    from rstar_fast.kernels.value_head.triton import value_head

    return value_head


_IMPLS = {"reference": _reference, "triton": _triton}
