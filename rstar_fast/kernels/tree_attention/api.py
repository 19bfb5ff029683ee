"""The front door of tree attention. It checks the arguments and calls one implementation."""

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose
from rstar_fast.kernels.tree_attention.layout import TreeLayout

_IMPLS = ("blockwise", "flex", "triton", "reference")


def tree_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: TreeLayout,
    *,
    scale: float | None = None,
    window: int | None = None,
    impl: str | None = None,
) -> Tensor:
    """Compute softmax attention in which query q sees key k if and only if k <= q < end[k].

    Query heads share key heads in groups, in order (grouped-query attention). Keys and values of
    tokens that do not ask, such as a cached prefix, stand among the others at their packed indices.

    Args:
        query: Queries [query_heads, queries, dim], floating. The number of heads is a multiple of
            kv_heads.
        key: Keys [kv_heads, keys, dim], in the dtype of `query`.
        value: Values [kv_heads, keys, dim], in the dtype of `query`.
        layout: Layout of the packed tokens, on the tensors' device.
        scale: Factor of the products of queries and keys. None for dim ** -0.5.
        window: Number of positions that a query sees, its own included, >= 1. None for all.
        impl: Implementation: "blockwise" (torch, any device), "flex" (torch's FlexAttention),
            "triton" or "reference" (torch with a dense mask). None picks triton on a GPU, and
            blockwise elsewhere.

    Returns:
        Results [query_heads, queries, dim], in the dtype of `query`. They are differentiable in
        `query`, `key` and `value`.

    Raises:
        KernelError: Shapes, dtypes or devices do not fit together, or the implementation cannot
            run.
    """
    _check(query, key, value, layout)
    run = choose("tree_attention", _IMPLS, impl, query.device)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    out: Tensor = run(query, key, value, layout, scale, window)
    return out


def _check(query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout) -> None:
    shapes = f"query {list(query.shape)}, key {list(key.shape)}, value {list(value.shape)}"
    if (
        query.ndim != 3
        or key.ndim != 3
        or key.shape != value.shape
        or query.shape[-1] != key.shape[-1]
    ):
        raise KernelError(
            "tree_attention: expected query [query_heads, queries, dim], "
            f"key and value [kv_heads, keys, dim], got {shapes}"
        )
    if not len(key) or len(query) % len(key):
        raise KernelError(
            f"tree_attention: expected query heads in whole groups per kv head, got {shapes}"
        )
    if (query.shape[1], key.shape[1]) != (layout.num_queries, layout.num_keys):
        raise KernelError(
            f"tree_attention: the layout has {layout.num_queries} queries "
            f"and {layout.num_keys} keys, got {shapes}"
        )
    if not query.dtype == key.dtype == value.dtype:
        raise KernelError(
            f"tree_attention: expected one dtype, got {query.dtype}, {key.dtype}, {value.dtype}"
        )
    if not query.device == key.device == value.device:
        raise KernelError(
            f"tree_attention: expected one device, got {query.device}, {key.device}, {value.device}"
        )
