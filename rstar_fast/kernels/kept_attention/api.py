"""The front door of kept attention. It checks the arguments and calls one implementation."""

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose
from rstar_fast.kernels.kept_attention.table import KeptTable

_IMPLS = ("reference", "triton")


def kept_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: KeptTable,
    layer: int,
    out: Tensor,
    *,
    scale: float | None = None,
    impl: str | None = None,
) -> None:
    """Write new keys and values to their buffers, and attend from their tokens.

    Query heads share key heads in groups, in order (grouped-query attention). Tokens that are in no
    entry of the table are left alone.

    Args:
        query: Queries [query_heads, tokens, dim], floating. The number of heads is a multiple of
            kv_heads.
        key: Keys [kv_heads, tokens, dim], in the dtype of `query`.
        value: Values [kv_heads, tokens, dim], in the dtype of `query`.
        table: Where the keys and values of each token lie.
        layer: Number of the layer in the buffers, which have it.
        out: Results [query_heads, tokens, dim], in the dtype of `query`. Those of the table's
            tokens are written to it.
        scale: Factor of the products of queries and keys. None for dim ** -0.5.
        impl: Implementation: "reference" (torch, any device) or "triton". None picks triton on a
            GPU, and the reference elsewhere.

    Raises:
        KernelError: Shapes, dtypes or devices do not fit together, or the implementation cannot
            run.
    """
    tensors = (query, key, value, out)
    if (
        any(tensor.ndim != 3 for tensor in tensors)
        or query.shape != out.shape
        or key.shape != value.shape
        or query.shape[1:] != key.shape[1:]
        or (key.shape[0], key.shape[2]) != (table.kv_heads, table.dim)
        or query.shape[0] % key.shape[0]
    ):
        raise KernelError(
            "kept_attention: expected query and out [query_heads, tokens, dim], key and value "
            f"[kv_heads, tokens, dim], {table.kv_heads} key heads of dimension {table.dim}, got "
            f"{[list(tensor.shape) for tensor in tensors]}"
        )
    device = table.entries.device
    if any((tensor.dtype, tensor.device) != (table.dtype, device) for tensor in tensors):
        raise KernelError(
            f"kept_attention: expected {table.dtype} on {device}, got "
            f"{[(tensor.dtype, str(tensor.device)) for tensor in tensors]}"
        )
    run = choose("kept_attention", _IMPLS, impl, query.device)
    run(query, key, value, table, layer, out, query.shape[-1] ** -0.5 if scale is None else scale)
