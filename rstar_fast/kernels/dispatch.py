"""Which implementation of an operation runs."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import torch

from rstar_fast.errors import KernelError

Loader = Callable[[], Callable[..., Any]]


def choose(
    operation: str,
    impls: Mapping[str, Loader],
    impl: str | None,
    device: torch.device,
    portable: str,
) -> Callable[..., Any]:
    """The implementation to call.

    Args:
        operation: its name, for messages.
        impls: how each implementation is loaded.
        impl: the one asked for; None for triton on a GPU where it is installed, `portable` elsewhere.
        device: of the tensors.
        portable: the implementation that runs everywhere.

    Raises:
        KernelError: no such implementation, or it cannot run here.
    """
    if impl is None:
        impl = "triton" if device.type == "cuda" and find_spec("triton") else portable
    if impl not in impls:
        raise KernelError(f"{operation}: impl: expected one of {', '.join(impls)}, got {impl!r}")
    if impl == "triton" and not find_spec("triton"):
        raise KernelError(
            f"{operation}: impl='triton' needs the package triton, which is not installed"
        )
    return impls[impl]()
