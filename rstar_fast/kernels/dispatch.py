"""The choice of the implementation that runs an operation."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from rstar_fast.errors import KernelError


@cache
def has_triton() -> bool:
    """Return whether the package triton is installed."""
    return find_spec("triton") is not None


def choose(
    operation: str, impls: Sequence[str], impl: str | None, device: torch.device
) -> Callable[..., Any]:
    """Return the function that runs an operation.

    It is the function named like the operation in the module
    `rstar_fast.kernels.<operation>.<implementation>`. Only that module is imported.

    Args:
        operation: Name of the operation and of its package.
        impls: Names of all implementations. The first one runs on any device.
        impl: Name of the implementation to take. None takes "triton" on a GPU where the package
            triton is installed, and the first of `impls` elsewhere.
        device: Device of the tensors.

    Raises:
        KernelError: There is no such implementation, or it needs triton, which is not installed.
    """
    if impl is None:
        impl = "triton" if device.type == "cuda" and has_triton() else impls[0]
    if impl not in impls:
        raise KernelError(f"{operation}: impl: expected one of {', '.join(impls)}, got {impl!r}")
    if impl == "triton" and not has_triton():
        raise KernelError(
            f"{operation}: impl='triton' needs the package triton, which is not installed"
        )
    module = import_module(f"rstar_fast.kernels.{operation}.{impl}")
    run: Callable[..., Any] = getattr(module, operation)
    return run
