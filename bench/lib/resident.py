"""Memory of this process, by Linux's counters."""

from pathlib import Path


def resident_bytes() -> int:
    """What it holds now."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most it held since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak begin again from what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
