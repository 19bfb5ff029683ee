"""Finds the fastest configuration of each tree attention kernel on the GPU at hand, and writes it into the committed table."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any
from unittest.mock import patch

import torch
from lib.device_speed import seconds_of
from lib.packed_trees import search_trees
from triton.runtime.errors import OutOfResources

from rstar_fast.kernels.launch import TARGETS, interpreting, launch, target
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.tree_attention import triton as launchers
from rstar_fast.kernels.tree_attention.configs import KERNELS, TABLE, Config, table

ROWS, KEYS, WARPS, STAGES = (16, 32, 64, 128), (16, 32, 64, 128), (4, 8), (1, 2, 3)
GROUP = 4
REPEATS = 5
DTYPES = {2: torch.float16 if interpreting() else torch.bfloat16, 4: torch.float32}


def tune(tokens: int) -> list[list[Any]]:
    """Time every candidate over so many packed tokens; the rows that changed."""
    where = target()
    device = "cpu" if interpreting() else "cuda"
    layout = search_trees(tokens, device)
    changed = []
    for dim, size in sorted({(dim, size) for _, on, dim, size in table() if on == where}):
        best: dict[str, tuple[float, Config]] = {}
        for config in _candidates():
            for kernel, seconds in _time(layout, device, where, dim, size, config).items():
                if kernel not in best or seconds < best[kernel][0]:
                    best[kernel] = (seconds, config)
        for kernel, (seconds, config) in best.items():
            before = table()[kernel, where, dim, size]
            print(
                f"{where:8}{kernel:20}{dim:5}{size:3}  {before} -> {config}  {1e3 * seconds:.3f} ms",
                flush=True,
            )
            if config != before:
                table()[kernel, where, dim, size] = config
                changed.append([kernel, where, dim, size, *_values(config)])
    write_table()
    return changed


def write_table() -> None:
    """Write the table as it is in memory, in its committed order and form."""
    order = {name: place for names in (KERNELS, TARGETS) for place, name in enumerate(names)}
    rows = sorted(
        table().items(), key=lambda row: (order[row[0][0]], order[row[0][1]], row[0][3], row[0][2])
    )
    lines = ",\n".join("  " + json.dumps([*key, *_values(config)]) for key, config in rows)
    TABLE.write_text(f"[\n{lines}\n]\n")


def _candidates() -> Iterator[Config]:
    yield from (Config(*values) for values in product(ROWS, KEYS, WARPS, STAGES))


def _values(config: Config) -> list[int]:
    return [config.block_rows, config.block_keys, config.num_warps, config.num_stages]


def _time(
    layout: TreeLayout, device: str, where: str, dim: int, size: int, config: Config
) -> dict[str, float]:
    """Median seconds by kernel; those that do not fit the GPU are left out."""
    seconds: dict[str, list[float]] = defaultdict(list)

    def timed_launch(started: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        took = seconds_of(lambda: launch(started, grid, *arguments, **options))
        if started.fn.__name__ == kernel:
            seconds[kernel].append(took)

    shapes = [(heads, layout.num_keys, dim) for heads in (2 * GROUP, 2, 2)]
    inputs = [
        torch.randn(shape, device=device, dtype=DTYPES[size]).requires_grad_() for shape in shapes
    ]
    for kernel in KERNELS:
        trial = {**table(), (kernel, where, dim, size): config}
        with (
            patch.object(launchers, "launch", timed_launch),
            patch("rstar_fast.kernels.tree_attention.configs.table", lambda t=trial: t),
        ):
            try:
                for _ in range(REPEATS + 1):
                    out = tree_attention(*inputs, layout, impl="triton")
                    if kernel != "forward":
                        torch.autograd.grad(out, inputs, torch.ones_like(out))
            except OutOfResources:
                seconds.pop(kernel, None)
    # The first time it is compiled.
    return {
        kernel: statistics.median(seconds[kernel][1:])
        for kernel in KERNELS
        if len(seconds[kernel]) > 1
    }
