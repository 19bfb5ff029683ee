"""The card that every bench prints first: the machine, the versions and the settings."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def print_card(**facts: Any) -> None:
    """Print the processor, the versions of the packages and the given facts, one line each."""
    rows: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("rstar_fast", "torch", "transformers", "numpy")},
        **facts,
    }
    for name, value in rows.items():
        print(f"{name:16}{value}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
