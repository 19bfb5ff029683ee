"""Attention over packed trees: arguments checked, one implementation called."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.dispatch import choose
from rstar_fast.kernels.tree_attention.layout import TreeLayout


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
    """Softmax attention in which query q sees key k iff k <= q < end[k].

    Heads of queries share those of keys in groups, in order (grouped-query attention). Keys and values of tokens that do not ask,
    the cached prefix, stand among the others at their packed indices.

    Args:
        query: [query_heads, queries, dim]; query_heads a multiple of kv_heads.
        key: [kv_heads, keys, dim].
        value: [kv_heads, keys, dim].
        layout: who sees whom, on the tensors' device.
        scale: of the products, default dim ** -0.5.
        window: positions a query sees, its own included; None for all.
        impl: "blockwise" (torch, any device), "flex" (FlexAttention), "triton" or "reference" (a dense mask); None picks triton
            on a GPU, else blockwise.

    Returns:
        [query_heads, queries, dim], in the type of `query`; differentiable.

    Raises:
        KernelError: shapes, types or devices do not fit together, or the implementation cannot run them.
    """
    _check(query, key, value, layout)
    run = choose("tree_attention", _IMPLS, impl, query.device, "blockwise")
    out: Tensor = run(
        query, key, value, layout, query.shape[-1] ** -0.5 if scale is None else scale, window
    )
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
            f"tree_attention: expected query [query_heads, queries, dim], key and value [kv_heads, keys, dim], got {shapes}"
        )
    if not len(key) or len(query) % len(key):
        raise KernelError(
            f"tree_attention: expected query heads in whole groups per kv head, got {shapes}"
        )
    if (query.shape[1], key.shape[1]) != (layout.num_queries, layout.num_keys):
        raise KernelError(
            f"tree_attention: the layout has {layout.num_queries} queries and {layout.num_keys} keys, got {shapes}"
        )
    if not query.dtype == key.dtype == value.dtype:
        raise KernelError(
            f"tree_attention: expected one type, got {query.dtype}, {key.dtype}, {value.dtype}"
        )
    if not query.device == key.device == value.device:
        raise KernelError(
            f"tree_attention: expected one device, got {query.device}, {key.device}, {value.device}"
        )


def _reference() -> Callable[..., Any]:
    from rstar_fast.kernels.tree_attention.reference import attend

    return attend


def _blockwise() -> Callable[..., Any]:
    from rstar_fast.kernels.tree_attention.blockwise import attend

    return attend


def _flex() -> Callable[..., Any]:
    from rstar_fast.kernels.tree_attention.flex import attend

    return attend


def _triton() -> Callable[..., Any]:
    from rstar_fast.kernels.tree_attention.triton import attend

    return attend


_IMPLS = {"blockwise": _blockwise, "flex": _flex, "triton": _triton, "reference": _reference}
