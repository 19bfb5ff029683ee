"""Compiling for GPUs that are not there: a stub driver, and what a compiled kernel needs of its target."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget


@dataclass(frozen=True)
class Limits:
    """What one program may take on a target.

    Attributes:
        shared_bytes: of shared memory (the smallest card of the generation; see the vendors' occupancy tables).
        registers: per thread, beyond which the compiler spills.
    """

    shared_bytes: int
    registers: int


TARGETS = {
    "sm_80": (GPUTarget("cuda", 80, 32), Limits(99 << 10, 255)),
    "sm_90": (GPUTarget("cuda", 90, 32), Limits(227 << 10, 255)),
    "sm_100": (GPUTarget("cuda", 100, 32), Limits(227 << 10, 255)),
    "gfx942": (GPUTarget("hip", "gfx942", 64), Limits(64 << 10, 512)),
}


class StubDriver:
    """Stands in for a GPU's driver: says which target it is, and nothing else."""

    def __init__(self, target: str) -> None:
        # A device number of its own: Triton keeps what it compiled by device.
        self._device = 1000 + list(TARGETS).index(target)
        self._target = TARGETS[target][0]

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return self._device

    def get_current_stream(self, device: int) -> int:
        return 0


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes: registers per thread, bytes spilled per thread, bytes of shared memory."""

    registers: int
    spilled_bytes: int
    shared_bytes: int


def usage(compiled: Any) -> Usage:
    """Read from ptxas's report, or from the metadata in the AMD assembly."""
    shared = int(compiled.metadata.shared)
    target = compiled.metadata.target
    if target.backend == "hip":
        assembly = compiled.asm["amdgcn"]
        registers, spilled = (_number(rf"\.{name}:\s+(\d+)", assembly) for name in ("vgpr_count", "vgpr_spill_count"))
        accumulators = _number(r"\.agpr_count:\s+(\d+)", assembly)
        return Usage(max(registers, accumulators), 4 * spilled, shared)
    ptxas = Path(triton.__file__).parent / "backends/nvidia/bin" / ("ptxas-blackwell" if target.arch >= 100 else "ptxas")
    suffix = "a" if target.arch >= 90 else ""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(compiled.asm["ptx"])
        command = [ptxas, "-v", f"--gpu-name=sm_{target.arch}{suffix}", source, "-o", Path(folder) / "kernel.cubin"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills = _number(r"(\d+) bytes spill stores", report)
    return Usage(_number(r"Used (\d+) registers", report), spills, shared)


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, f"expected {pattern!r} in: {text[-2000:]}"
    return int(found[1])
