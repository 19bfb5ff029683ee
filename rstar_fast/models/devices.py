"""Devices and number types that a user names, as torch objects."""

import torch

from rstar_fast.errors import ConfigError
from rstar_fast.models import DTYPES


def find_device(device: str | torch.device | None) -> torch.device:
    """Return a device that this machine has.

    Args:
        device: Device, or its name as torch takes it: "cpu", "cuda", "cuda:1", ... None for a CUDA
            GPU where there is one and else the CPU.

    Raises:
        ConfigError: The name means nothing to torch, or there is no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise _unknown(device) from error
    if found.type == "cpu":
        if found.index:
            raise _unknown(device)
    elif found.type == "cuda":
        _check_cuda(found)
    else:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None or accelerator.type != found.type:
            raise ConfigError(f"device {device}: torch finds no such device on this machine")
        _check_index(found, torch.accelerator.device_count(), "devices of this type")
    return found


def find_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Return the number type of a name.

    Args:
        dtype: Name, one of `DTYPES`. A number type of torch and None come back unchanged.

    Raises:
        ConfigError: The name is not one of `DTYPES`.
    """
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype}: expected {', '.join(DTYPES[:-1])} or {DTYPES[-1]}")
    found: torch.dtype = getattr(torch, dtype)
    return found


def _unknown(device: object) -> ConfigError:
    return ConfigError(
        f"device {device}: expected cpu, cuda, cuda:N or another device that torch knows"
    )


def _check_cuda(device: torch.device) -> None:
    if torch.version.cuda is None and torch.version.hip is None:
        raise ConfigError(
            f"device {device}: this torch has no CUDA ({torch.__version__}); "
            "leave device out or install a CUDA build"
        )
    if not torch.cuda.is_available():
        raise ConfigError(
            f"device {device}: torch finds no GPU on this machine; "
            "leave device out or look at the driver"
        )
    _check_index(device, torch.cuda.device_count(), "GPUs")


def _check_index(device: torch.device, count: int, kind: str) -> None:
    if device.index is not None and device.index >= count:
        raise ConfigError(f"device {device}: this machine has {count} {kind}, counted from 0")
