"""The target, the check of tensors and the start of a kernel, for every Triton launcher."""

from typing import Any

import torch
import triton
from torch import Tensor

from rstar_fast.errors import KernelError

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
"""Names of the GPU generations that have committed configurations."""

LOG2_E = 1.4426950408889634
"""Logarithm of e to the base of two, to which the kernels of attention compute."""
_SMALLEST_SIDE = 16
"""Smallest side of a tile in a product of matrices."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def interpreting() -> bool:
    """Return whether kernels run in Triton's interpreter, on CPU tensors."""
    return bool(triton.knobs.runtime.interpret)


def target() -> str:
    """Return the entry of `TARGETS` whose configurations the current device takes.

    NVIDIA GPUs of compute capability 9 take "sm_90", those of 10 and 11 "sm_100", and all others
    "sm_80". AMD GPUs take "gfx942". The interpreter takes "sm_80".
    """
    if interpreting():
        return "sm_80"
    current = triton.runtime.driver.active.get_current_target()
    if current.backend == "hip":
        return "gfx942"
    # Consumer cards, sm_120 too, have the shared memory of sm_86.
    return {9: "sm_90", 10: "sm_100", 11: "sm_100"}.get(current.arch // 10, "sm_80")


def padded(count: int) -> int:
    """Return the side of a tile that holds this many rows or columns, >= 1: a power of two."""
    return max(_SMALLEST_SIDE, 1 << (count - 1).bit_length())


def check(operation: str, *tensors: Tensor) -> None:
    """Raise `KernelError` unless the Triton kernels can take these tensors.

    They take float16, bfloat16 and float32 on a GPU. In the interpreter they take float16 and
    float32 on any device.

    Args:
        operation: Name of the operation, for the message.
        tensors: Tensors of any shape.
    """
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            raise KernelError(
                f"{operation}: impl='triton' takes float16, bfloat16 and float32, "
                f"got {tensor.dtype}"
            )
        if interpreting() and tensor.dtype == torch.bfloat16:
            raise KernelError(
                f"{operation}: Triton's interpreter computes bfloat16 wrongly: "
                "expected float16 or float32, got torch.bfloat16"
            )
        if not interpreting() and tensor.device.type == "cpu":
            raise KernelError(
                f"{operation}: impl='triton' takes GPU tensors, got {tensor.device} "
                "(without TRITON_INTERPRET=1)"
            )


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Start a kernel. Do nothing if the grid has no programs.

    Args:
        kernel: Function decorated by `triton.jit`.
        grid: Number of programs along each axis.
        arguments: Arguments of the kernel.
        options: Constants of the kernel, and Triton's options such as `num_warps`.
    """
    if all(grid):
        kernel[grid](*arguments, **options)
