"""The launchers of the Triton kernels of kept attention."""

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.kept_attention.configs import (
    MAX_ROW_BYTES,
    NUM_STAGES,
    NUM_WARPS,
    TILE_BYTES,
)
from rstar_fast.kernels.kept_attention.table import KeptTable
from rstar_fast.kernels.kept_attention.triton_kernels import attend_kept, write_kept
from rstar_fast.kernels.launch import LOG2_E, check, launch, padded
from rstar_fast.kernels.strides import with_adjacent_elements


def kept_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: KeptTable,
    layer: int,
    out: Tensor,
    scale: float,
) -> None:
    """Write and attend on a GPU. See `api.kept_attention`.

    Raises:
        KernelError: The kernels do not take the tensors or their head dimension.
    """
    check("kept_attention", query, key, value, out)
    num_groups, _, dim = key.shape
    size = query.element_size()
    if dim * size > MAX_ROW_BYTES:
        raise KernelError(
            f"kept_attention: impl='triton' takes keys of up to {MAX_ROW_BYTES} bytes, "
            f"got {dim * size}"
        )
    query, key, value = map(with_adjacent_elements, (query, key, value))
    if out.stride(-1) != 1:
        raise KernelError("kept_attention: expected results whose elements are adjacent")
    group = len(query) // num_groups
    block_dim = padded(dim)
    num_entries, num_buffers = table.entries.shape[1], table.buffers.shape[1]
    places = (table.entries, table.buffers, num_entries, num_buffers, layer, num_groups)
    grid = (num_entries * num_groups,)
    launch(
        write_kept, grid, key, value, *places,
        key.stride(0), key.stride(1), value.stride(0), value.stride(1),
        DIM=dim, BLOCK_DIM=block_dim, num_warps=1,
    )  # fmt: skip
    launch(
        attend_kept, grid, query, out, *places, scale * LOG2_E,
        query.stride(0), query.stride(1), out.stride(0), out.stride(1),
        GROUP=group, DIM=dim, BLOCK_DIM=block_dim,
        BLOCK_ROWS=padded(group),
        BLOCK_KEYS=max(16, TILE_BYTES[size] // (block_dim * size)),
        PRECISION="ieee", num_warps=NUM_WARPS, num_stages=NUM_STAGES,
    )  # fmt: skip
