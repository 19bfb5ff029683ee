"""A search for the fastest configurations of the tree attention kernels on the GPU at hand.

All cores compile candidates ahead of time into Triton's cache, while others that are compiled are
timed. A candidate replaces the present configuration only if it is faster by more than the noise.
The committed table is written after every change. Nothing new begins once the seconds are spent.
"""

import json
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from itertools import product
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import torch
from lib.device_speed import seconds_of
from lib.packed_trees import search_trees

from rstar_fast.kernels.launch import TARGETS, interpreting, launch, target
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.tree_attention import triton as launchers
from rstar_fast.kernels.tree_attention.configs import KERNELS, TABLE, Config, table

GROUP, KV_HEADS = 7, 2
"""Number of query heads per key head, as in Qwen2.5, and of key heads, in what is timed."""
FORMS = ((128, 2), (64, 2), (256, 2), (64, 4), (128, 4))
"""Pairs (head dimension, bytes of an element), the most used first."""
REPEATS = 7
"""Number of times that a candidate is timed each time it is its turn."""
FINALISTS = 3
"""Number of candidates that are timed again, in turns with the present configuration."""
NOISE = 1.02
"""Ratio of times up to which a candidate does not count as faster."""
DTYPES = {2: torch.float16 if interpreting() else torch.bfloat16, 4: torch.float32}
"""Dtype that is timed, by bytes of an element."""

Key = tuple[str, str, int, int]
"""Key of the table: (kernel, target, head dimension, bytes of an element)."""


def tune(tokens: int, budget_s: float = 150.0) -> list[list[Any]]:
    """Time candidates for every kernel and form, and write the fastest ones into the table.

    Args:
        tokens: Number of packed tokens in what is timed.
        budget_s: Seconds after which nothing new begins.

    Returns:
        Rows of the table that changed.
    """
    deadline = time.monotonic() + budget_s
    layout = search_trees(tokens, "cpu" if interpreting() else "cuda")
    keys: list[Key] = [(kernel, target(), dim, size) for dim, size in FORMS for kernel in KERNELS]
    changed = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        compiled: dict[Key, list[tuple[Config, Future[None]]]] = {
            key: [
                (config, pool.submit(compile_candidate, key, config)) for config in candidates(*key)
            ]
            for key in keys
        }
        for key in keys:
            futures = compiled[key]
            left = deadline - time.monotonic()
            if left <= 0:
                break
            wait([future for _, future in futures], timeout=left)
            ready = [
                config for config, future in futures if future.done() and not future.exception()
            ]
            before = table()[key]
            chosen, text = _fastest(layout, key, [before, *ready], deadline)
            kernel, where, dim, size = key
            counts = f"{len(ready):3} of {len(futures):3} compiled"
            print(f"{where:8}{kernel:16}{dim:5}{size:3}  {counts}  {text}", flush=True)
            if chosen != before:
                table()[key] = chosen
                changed.append([*key, *_values(chosen)])
                write_table()
        pool.shutdown(wait=False, cancel_futures=True)
    return changed


def write_table() -> None:
    """Write the table as it is in memory, in its committed order and form."""
    order = {name: place for names in (KERNELS, TARGETS) for place, name in enumerate(names)}
    rows = sorted(
        table().items(), key=lambda row: (order[row[0][0]], order[row[0][1]], row[0][3], row[0][2])
    )
    lines = ",\n".join("  " + json.dumps([*key, *_values(config)]) for key, config in rows)
    TABLE.write_text(f"[\n{lines}\n]\n")


def candidates(kernel: str, where: str, dim: int, size: int) -> Iterator[Config]:
    """Yield the configurations of a key that are worth compiling.

    By a rough count their tiles fit registers and shared memory of the target.
    """
    from lib.ahead_of_time import TARGETS as LIMITS

    limits = LIMITS[where][1]
    if size == 4:
        options = product((16, 32, 64), (16, 32, 64), (4, 8), (1, 2))
    else:
        options = product((32, 64, 128), (32, 64, 128), (4, 8), (1, 2, 3, 4))
    for rows, keys, warps, stages in options:
        # One side of the tiles stays in a program, and the other one streams through it.
        stays, streams = (keys, rows) if kernel == "backward_key" else (rows, keys)
        sums, products = (
            (2, 2) if kernel == "backward_key" else (1, 1 if kernel == "forward" else 2)
        )
        registers = (sums * stays * dim + products * stays * streams) / (32 * warps)
        shared = (
            ((1 if kernel == "forward" else 2) * stays + 2 * max(1, stages - 1) * streams)
            * dim
            * size
        )
        # A product of matrices takes at least 16 rows a warp.
        fits = registers <= 0.85 * limits.registers and shared <= limits.shared_bytes
        if fits and (size == 4 or stays >= 16 * warps or (stays >= 64 and dim > 128)):
            yield Config(rows, keys, warps, stages)


def compile_candidate(key: Key, config: Config) -> None:
    """Compile a kernel into Triton's cache as the launchers would start it.

    It runs in a process of its own. The interpreter has nothing to compile.
    """
    if interpreting():
        return
    from lib.ahead_of_time import compiling_for, start_tree_attention

    kernel, where, dim, size = key
    with _in_table(key, config), compiling_for(where, kernel):
        start_tree_attention(dim, size, 64, heads=(GROUP * KV_HEADS, KV_HEADS))


def _fastest(
    layout: TreeLayout, key: Key, configs: list[Config], deadline: float
) -> tuple[Config, str]:
    """Return the configuration to take, and a text for the user.

    The first of `configs` is the present one.
    """
    dim, size = key[2:]
    shapes = [(heads, layout.num_keys, dim) for heads in (GROUP * KV_HEADS, KV_HEADS, KV_HEADS)]
    inputs = [
        torch.randn(shape, device=layout.device, dtype=DTYPES[size]).requires_grad_()
        for shape in shapes
    ]
    before, timed = configs[0], dict[Config, list[float]]()

    def time_(config: Config) -> None:
        if time.monotonic() < deadline:
            found = _seconds(layout, inputs, key, config)
            if found:
                timed.setdefault(config, []).extend(found)

    for config in dict.fromkeys(configs):
        time_(config)
    best = sorted(timed, key=lambda config: statistics.median(timed[config]))[:FINALISTS]
    # They take turns, so that a card that slows down slows all of them.
    for config in (*best, before) * 3:
        time_(config)
    if not timed:
        return before, "nothing was timed"
    median = {config: statistics.median(values) for config, values in timed.items()}
    chosen = min(best, key=lambda config: median[config])
    if before in median and median[before] <= NOISE * median[chosen]:
        chosen = before
    now = f"{1e3 * median[before]:.3f} ms" if before in median else "does not fit"
    then = f"{_values(chosen)} {1e3 * median[chosen]:.3f} ms, of {len(timed)}"
    return chosen, f"{_values(before)} {now} -> {then}"


def _seconds(
    layout: TreeLayout, inputs: list[torch.Tensor], key: Key, config: Config
) -> list[float]:
    """Return `REPEATS` times of a kernel, seconds.

    There are none if the kernel does not fit the GPU or spills registers.
    """
    from triton.runtime.errors import OutOfResources

    found: list[float] = []
    kernel = key[0]

    def timed_launch(started: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        if started.fn.__name__ != kernel:
            launch(started, grid, *arguments, **options)
            return
        # The first start loads the kernel, or compiles it where the cache has it for another card.
        compiled = started[grid](*arguments, **options)
        if not getattr(compiled, "n_spills", 0):
            found.extend(
                seconds_of(lambda: started[grid](*arguments, **options)) for _ in range(REPEATS)
            )

    with _in_table(key, config), patch.object(launchers, "launch", timed_launch):
        try:
            out = tree_attention(*inputs, layout, impl="triton")
            if kernel != "forward":
                torch.autograd.grad(out, inputs, torch.ones_like(out))
        except OutOfResources:
            return []
    return found


def _in_table(key: Key, config: Config) -> Any:
    """Return a context in which the launchers take this configuration."""
    trial = {**table(), key: config}
    return patch("rstar_fast.kernels.tree_attention.configs.table", lambda: trial)


def _values(config: Config) -> list[int]:
    return [config.block_rows, config.block_keys, config.num_warps, config.num_stages]
