"""The seconds and the memory that calls take on a device, and the most that the device can do."""

import time
from collections.abc import Callable
from typing import Any

import torch


def seconds_of(run: Callable[[], Any]) -> float:
    """Return the seconds of one call.

    Where there is a GPU, its clock runs from an idle GPU to the end of all work of the call. So a
    short call takes the time in which the host starts it. Elsewhere these are seconds of the
    processor, which other programs disturb less than wall time.
    """
    if not torch.cuda.is_available():
        begin = time.process_time()
        run()
        return time.process_time() - begin
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    torch.cuda.synchronize()
    events[0].record()
    run()
    events[1].record()
    torch.cuda.synchronize()
    return events[0].elapsed_time(events[1]) / 1e3


def peak_memory_bytes() -> int | None:
    """Return the most GPU memory that tensors of this process took at once, bytes.

    None where there is no GPU.
    """
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """Measure the operations per second of a large product of matrices."""
    size = 8192 if device == "cuda" else 1024
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(seconds_of(lambda: one @ other) for _ in range(20))


def peak_bandwidth(device: str) -> float:
    """Measure the bytes that a large copy reads and writes per second."""
    source = torch.ones(1 << (29 if device == "cuda" else 26), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / min(seconds_of(lambda: target.copy_(source)) for _ in range(6))
