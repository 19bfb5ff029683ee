"""What every Triton launcher needs: the target, the interpreter's limits, and one place where kernels are started."""

from typing import Any

import torch
import triton
from torch import Tensor

from rstar_fast.errors import KernelError

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
"""What the committed configurations are for."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def interpreting() -> bool:
    """Whether kernels run in Triton's interpreter, on CPU tensors."""
    return bool(triton.knobs.runtime.interpret)


def target() -> str:
    """The entry of `TARGETS` whose configurations the current device takes: its own, or those of the generation it belongs to."""
    if interpreting():
        return "sm_80"
    current = triton.runtime.driver.active.get_current_target()
    if current.backend == "hip":
        return "gfx942"
    # Consumer cards, sm_120 too, have the shared memory of sm_86.
    return {9: "sm_90", 10: "sm_100", 11: "sm_100"}.get(current.arch // 10, "sm_80")


def check(operation: str, *tensors: Tensor) -> None:
    """Refuse tensors that the kernels cannot take.

    Raises:
        KernelError: a type without a kernel, a CPU tensor outside the interpreter, or bfloat16 inside it.
    """
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            raise KernelError(
                f"{operation}: impl='triton' takes float16, bfloat16 and float32, got {tensor.dtype}"
            )
        if interpreting() and tensor.dtype == torch.bfloat16:
            raise KernelError(
                f"{operation}: Triton's interpreter computes bfloat16 wrongly; it takes float16 and float32"
            )
        if not interpreting() and tensor.device.type == "cpu":
            raise KernelError(
                f"{operation}: impl='triton' takes GPU tensors, got {tensor.device} (without TRITON_INTERPRET=1)"
            )


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Start a kernel; a grid without programs is nothing to do."""
    if all(grid):
        kernel[grid](*arguments, **options)
