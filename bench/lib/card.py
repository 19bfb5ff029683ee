"""The card every bench prints first: what ran, and on what."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def print_card(**facts: Any) -> None:
    """Print machine, versions and the facts given, one line each."""
    rows: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("rstar_fast", "torch", "transformers", "numpy")},
        **facts,
    }
    for name, value in rows.items():
        print(f"{name:16}{value}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
