"""Block sizes and pipelines of the tree attention kernels, per target, head dimension and element size.

The table is committed, and made by `bench/kernels.py --tune` on the target; there is no tuning at run time. Where a target was not
tuned its numbers are careful ones: they fit the shared memory of every card of its generation (99 KiB on sm_86 and sm_89, 64 KiB
on gfx942).
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rstar_fast.errors import KernelError

DIMS = (64, 128, 256)
KERNELS = ("forward", "backward_query", "backward_key")
TABLE = Path(__file__).with_name("configs.json")


@dataclass(frozen=True)
class Config:
    """How a kernel is cut up.

    Attributes:
        block_rows: rows of a tile of queries, a power of two; heads of a group are packed into rows, so that it covers
            block_rows // group tokens.
        block_keys: keys to a tile, a power of two.
        num_warps: of a program.
        num_stages: of the loads' pipeline.
    """

    block_rows: int
    block_keys: int
    num_warps: int
    num_stages: int


@cache
def table() -> dict[tuple[str, str, int, int], Config]:
    """All committed configurations, by (kernel, target, head dimension, bytes of an element)."""
    rows = json.loads(TABLE.read_text())
    return {
        (kernel, target, dim, size): Config(*values) for kernel, target, dim, size, *values in rows
    }


def config_for(kernel: str, target: str, dim: int, element_bytes: int) -> Config:
    """The configuration of a kernel; head dimensions take the next larger one of `DIMS`.

    Raises:
        KernelError: the heads are too wide.
    """
    fitting = next(
        (size for size in DIMS if size >= dim and (kernel, target, size, element_bytes) in table()),
        None,
    )
    if fitting is None:
        widest = max(
            size
            for *rest, size, num_bytes in table()
            if [*rest, num_bytes] == [kernel, target, element_bytes]
        )
        raise KernelError(
            f"tree_attention: impl='triton' takes head dimensions up to {widest} in {element_bytes} bytes a number, got {dim}"
        )
    return table()[kernel, target, fitting, element_bytes]
