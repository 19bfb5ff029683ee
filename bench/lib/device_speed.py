"""How long things take on a device, and the most it can do."""

import time
from collections.abc import Callable
from typing import Any

import torch


def seconds_of(run: Callable[[], Any]) -> float:
    """Seconds of one call, on the GPU's clock, else the processor's, which other programs disturb less."""
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


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """Operations per second of a large product of matrices."""
    size = 8192 if device == "cuda" else 1024
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(seconds_of(lambda: one @ other) for _ in range(20))


def peak_bandwidth(device: str) -> float:
    """Bytes read and written per second by a large copy."""
    source = torch.ones(1 << (29 if device == "cuda" else 26), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / min(seconds_of(lambda: target.copy_(source)) for _ in range(6))
