"""Memory of this process, as Linux counts it."""

from pathlib import Path


def resident_bytes() -> int:
    """Return the resident memory of now, bytes."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the largest resident memory since the last `forget_peak`, bytes."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak begin again at the resident memory of now."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
