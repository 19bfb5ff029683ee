"""Configurations of the tree attention kernels for each target, head dimension and element size.

The table is committed, and nothing is tuned at run time. `bench/kernels.py --tune` writes the rows
of the GPU that it runs on. The rows of sm_90 were tuned on an H200 under triton 3.6, with two
exceptions in float32. With a head dimension of 64 the fastest rows spilled registers under triton
3.7.1, and their replacements were never timed. With 128 the row of `backward_key` was not reached.

The other targets were not tuned. Their rows are cautious and fit the shared memory of every card of
the generation (99 KiB on sm_86 and sm_89, 64 KiB on gfx942).
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rstar_fast.errors import KernelError

DIMS = (64, 128, 256)
"""Head dimensions that have configurations."""
KERNELS = ("forward", "backward_query", "backward_key")
"""Names of the kernels that have configurations, in the order in which they are started."""
TABLE = Path(__file__).with_name("configs.json")
"""File of the table."""


@dataclass(frozen=True)
class Config:
    """Tile sizes and resources of a kernel.

    Attributes:
        block_rows: Number of rows in a tile of queries, a power of two. The query heads of a group
            take a row each, so that a tile covers block_rows // group tokens.
        block_keys: Number of keys in a tile, a power of two.
        num_warps: Number of warps of a program.
        num_stages: Number of stages in the pipeline of loads.
    """

    block_rows: int
    block_keys: int
    num_warps: int
    num_stages: int


@cache
def table() -> dict[tuple[str, str, int, int], Config]:
    """Return all configurations by (kernel, target, head dimension, bytes of an element)."""
    rows = json.loads(TABLE.read_text())
    return {
        (kernel, target, dim, size): Config(*values) for kernel, target, dim, size, *values in rows
    }


def config_for(kernel: str, target: str, dim: int, element_bytes: int) -> Config:
    """Return the configuration of a kernel.

    Args:
        kernel: Entry of `KERNELS`.
        target: Entry of `launch.TARGETS`.
        dim: Head dimension. It takes the configuration of the next larger one in the table.
        element_bytes: Size of an element, 2 or 4 bytes.

    Raises:
        KernelError: The head dimension is larger than all in the table.
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
            f"tree_attention: impl='triton' takes head dimensions up to {widest} "
            f"for elements of {element_bytes} bytes, got {dim}"
        )
    return table()[kernel, target, fitting, element_bytes]
