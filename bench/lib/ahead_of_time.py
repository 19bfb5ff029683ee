"""Compiling the kernels for GPUs that are not there.

A stub driver names the target. What a compiled kernel takes is read from the compiler's reports.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import triton
from triton.backends.compiler import GPUTarget

from rstar_fast.kernels.kept_attention import KeptTable, kept_attention
from rstar_fast.kernels.kept_attention import triton as kept_attention_triton
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.kernels.preference_loss import triton as preference_loss_triton
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.tree_attention import triton as tree_attention_triton
from rstar_fast.kernels.tree_attention.configs import table
from rstar_fast.kernels.value_head import triton as value_head_triton
from rstar_fast.kernels.value_head import value_head


@dataclass(frozen=True)
class Limits:
    """The most that one program may take on a target.

    Attributes:
        shared_bytes: Shared memory of the smallest card of the generation, bytes. The numbers are
            from the vendors' occupancy tables.
        registers: Registers per thread. With more the compiler spills.
    """

    shared_bytes: int
    registers: int


TARGETS = {
    "sm_80": (GPUTarget("cuda", 80, 32), Limits(99 << 10, 255)),
    "sm_90": (GPUTarget("cuda", 90, 32), Limits(227 << 10, 255)),
    "sm_100": (GPUTarget("cuda", 100, 32), Limits(227 << 10, 255)),
    "gfx942": (GPUTarget("hip", "gfx942", 64), Limits(64 << 10, 512)),
}
"""Triton's target and the limits of every entry of `launch.TARGETS`."""


class StubDriver:
    """A stand-in for a GPU's driver that only says which target it is."""

    def __init__(self, target: str) -> None:
        # Triton keeps compiled kernels by device, so each target needs a number of its own.
        self._device = 1000 + list(TARGETS).index(target)
        self._target = TARGETS[target][0]

    def get_current_target(self) -> GPUTarget:
        """Return the target that was given."""
        return self._target

    def get_current_device(self) -> int:
        """Return a number that stands for the target."""
        return self._device

    def get_current_stream(self, device: int) -> int:
        """Return the default stream."""
        return 0


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes.

    Attributes:
        registers: Registers per thread.
        spilled_bytes: Bytes per thread that do not fit into registers.
        shared_bytes: Bytes of shared memory per program.
    """

    registers: int
    spilled_bytes: int
    shared_bytes: int


TOKENS = (49, 64)
"""Numbers of tokens to compile for: one that is no multiple of 16, and one that is."""
FORMS = sorted({(dim, size) for _, _, dim, size in table()})
"""Pairs (head dimension, bytes of an element) that have configurations of tree attention."""

_DTYPES = {2: torch.bfloat16, 4: torch.float32}


@contextmanager
def compiling_for(target: str, only: str | None = None) -> Iterator[list[tuple[str, Any]]]:
    """Make the launchers compile for a target the kernels that they would start.

    Args:
        target: Entry of `TARGETS`.
        only: Name of the only kernel to compile. None for all.

    Yields:
        A list that fills with pairs (name, compiled kernel), in order.
    """
    found: list[tuple[str, Any]] = []

    def compile_only(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        if not all(grid):
            raise ValueError(
                f"{kernel.fn.__name__}: expected a grid with programs in it, got {grid}"
            )
        if only in (None, kernel.fn.__name__):
            found.append((kernel.fn.__name__, kernel.warmup(*arguments, grid=grid, **options)))

    triton.runtime.driver.set_active(StubDriver(target))
    try:
        with (
            patch.object(tree_attention_triton, "launch", compile_only),
            patch.object(kept_attention_triton, "launch", compile_only),
            patch.object(value_head_triton, "launch", compile_only),
            patch.object(preference_loss_triton, "launch", compile_only),
        ):
            yield found
    finally:
        triton.runtime.driver.set_active(None)


def start_tree_attention(
    dim: int,
    size: int,
    num_tokens: int,
    window: int | None = None,
    dtype: torch.dtype | None = None,
    heads: tuple[int, int] = (8, 2),
) -> None:
    """Start forward and backward of tree attention on tensors without storage.

    Args:
        dim: Head dimension.
        size: Size of an element, 2 or 4 bytes.
        num_tokens: Number of tokens. Triton compiles other code for a multiple of 16.
        window: Number of positions that a query sees. None for all.
        dtype: Dtype of the tensors. None for bfloat16 or float32, by `size`.
        heads: Number of query heads and of key heads.
    """
    end = np.full(num_tokens, num_tokens, np.int32)
    layout = TreeLayout(end, np.arange(num_tokens, dtype=np.int32), device="meta")
    dtype = dtype or _DTYPES[size]
    inputs = [
        torch.empty(count, num_tokens, dim, dtype=dtype, device="meta", requires_grad=True)
        for count in (*heads, heads[1])
    ]
    out = tree_attention(*inputs, layout, window=window, impl="triton")
    out.backward(torch.empty_like(out))


def start_kept_attention(dim: int, size: int, heads: tuple[int, int] = (14, 2)) -> None:
    """Start kept attention on tensors without storage.

    Args:
        dim: Head dimension.
        size: Size of an element, 2 or 4 bytes.
        heads: Number of query heads and of key heads.
    """
    num_heads, num_groups = heads

    def empty(*shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=_DTYPES[size], device="meta")

    prefixes, own = [empty(2, 2, 8, num_groups, 64, dim)], empty(2, 2, 8, num_groups, 64, dim)
    entries = np.array([[0, 0, 0, 1, 0, 1]], np.int32)
    query, key = empty(num_heads, 8, dim), empty(num_groups, 8, dim)
    kept_attention(query, key, key, KeptTable.of(prefixes, own, entries), 0, query, impl="triton")


def start_small_kernels() -> None:
    """Start value head and preference loss, forward and backward, for the width of a 7B model."""
    hidden = torch.empty(9, 3584, dtype=torch.bfloat16, device="meta", requires_grad=True)
    weights = [
        torch.empty(3584, dtype=torch.bfloat16, device="meta", requires_grad=True) for _ in range(2)
    ]
    index = torch.empty(4, dtype=torch.int64, device="meta")
    values, scores = value_head(hidden, index, *weights, eps=1e-6, impl="triton")
    (values + scores).backward(torch.empty_like(values))
    groups = PairGroups.of([([0], [1])], "meta")
    preference_loss(torch.empty(4, device="meta", requires_grad=True), groups, impl="triton")


def usage(compiled: Any) -> Usage:
    """Read from ptxas's report, or from the metadata of AMD's assembly, what a kernel takes."""
    shared = int(compiled.metadata.shared)
    target = compiled.metadata.target
    if target.backend == "hip":
        assembly = compiled.asm["amdgcn"]
        registers, spilled = (
            _number(rf"\.{name}:\s+(\d+)", assembly) for name in ("vgpr_count", "vgpr_spill_count")
        )
        accumulators = _number(r"\.agpr_count:\s+(\d+)", assembly)
        return Usage(max(registers, accumulators), 4 * spilled, shared)
    ptxas = (
        Path(triton.__file__).parent
        / "backends/nvidia/bin"
        / ("ptxas-blackwell" if target.arch >= 100 else "ptxas")
    )
    suffix = "a" if target.arch >= 90 else ""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(compiled.asm["ptx"])
        command = [
            ptxas,
            "-v",
            f"--gpu-name=sm_{target.arch}{suffix}",
            source,
            "-o",
            Path(folder) / "kernel.cubin",
        ]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills = _number(r"(\d+) bytes spill stores", report)
    return Usage(_number(r"Used (\d+) registers", report), spills, shared)


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    if not found:
        raise ValueError(f"expected {pattern!r} in the compiler's report, got: {text[-2000:]}")
    return int(found[1])


def report() -> list[dict[str, Any]]:
    """Compile every committed configuration for its target, and print what it takes.

    Returns:
        One row for each line printed.
    """
    rows = []
    shape = f"{'dim':>5}{'bytes':>6}{'tokens':>7}  {'rows x keys':14}"
    print(f"{'target':8}{'kernel':20}{shape}{'registers':>10}{'spilled':>9}{'shared':>9}{'of':>9}")
    for target in TARGETS:
        for dim, size in FORMS:
            with compiling_for(target) as compiled:
                start_kept_attention(dim, size)
            rows += [_row(target, name, kernel, dim, size, 0) for name, kernel in compiled]
        for dim, size, num_tokens in [
            *((*form, count) for form in FORMS for count in TOKENS),
            (0, 0, 0),
        ]:
            with compiling_for(target) as compiled:
                if dim:
                    start_tree_attention(dim, size, num_tokens)
                else:
                    start_small_kernels()
            rows += [_row(target, name, kernel, dim, size, num_tokens) for name, kernel in compiled]
    return rows


def _row(
    target: str, name: str, kernel: Any, dim: int, size: int, num_tokens: int
) -> dict[str, Any]:
    """Print what a compiled kernel takes, and return it."""
    used = usage(kernel)
    config = table().get((name, target, dim, size))
    tile = f"{config.block_rows} x {config.block_keys}, {config.num_warps}w" if config else ""
    shape = f"{dim or '':>5}{size or '':>6}{num_tokens or '':>7}  {tile:14}"
    taken = f"{used.registers:10}{used.spilled_bytes:9}{used.shared_bytes:9}"
    print(f"{target:8}{name:20}{shape}{taken}{TARGETS[target][1].shared_bytes:9}")
    return {
        "target": target,
        "kernel": name,
        "dim": dim,
        "bytes": size,
        "tokens": num_tokens,
        **asdict(used),
    }
