"""Attention over a packed batch: rows that share a prefix read its keys and values once, and each its own behind it.

One forward holds, packed into a single sequence, the newest token of every running row and the prefixes that are being encoded:

    tokens   | row 0 | row 1 | row 2 | row 3 | row 4 || prefix of request C ......... | prefix of request D .... |

A row's softmax runs over two sets of keys, its request's prefix and its own tokens. Each part is computed on its own with the
logarithm of its softmax's denominator and the two are joined: out = w * prefix + (1 - w) * own, w = sigmoid(lse_prefix - lse_own).
The rows of a request stand side by side as the queries of one prefix; prefixes of a size class go into one call, padded.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rstar_fast.errors import PolicyError
from rstar_fast.policy.kv import LayerShape, PrefixKV, PrefixPool, RowKV

NAME = "rstar_fast_shared_prefix"
_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "block_mask")


@dataclass(slots=True)
class Span:
    """Packed positions [begin, end) of a prefix that is being encoded.

    Attributes:
        prefix: where the new tokens' KV goes.
        mask: additive [new tokens, prefix tokens], None if there is one new token.
    """

    begin: int
    end: int
    prefix: PrefixKV
    mask: Tensor | None = None


@dataclass(slots=True)
class Shared:
    """Running rows whose prefixes lie in one pool.

    Attributes:
        pool: of the prefixes.
        gather: int64 [places, width], rows by the place of their prefix, any row where a place has fewer.
        rows: int64 [rows], the rows.
        at: int64 [rows], where each is in `gather`, flattened.
        mask: additive [places, 1, 1, longest prefix].
    """

    pool: PrefixPool
    gather: Tensor
    rows: Tensor
    at: Tensor
    mask: Tensor


@dataclass(slots=True)
class DecodeBatch:
    """One forward, as the attention function sees it.

    Attributes:
        shared: the running rows, by pool.
        encoding: prefixes being encoded.
        own: the rows' own KV.
        places: int64 [running rows], 0, 1, ...: a packed row's place in `own`.
        lengths: int64 [running rows], how many own tokens each has before this forward.
        mask: additive [running rows, 1, 1, longest own].
    """

    shared: list[Shared] = field(default_factory=list)
    encoding: list[Span] = field(default_factory=list)
    own: RowKV | None = None
    places: Tensor | None = None
    lengths: Tensor | None = None
    mask: Tensor | None = None


@dataclass(slots=True)
class ShapeProbe:
    """Stands in for a batch in a model's first forward: attends plainly and notes the shape of every layer's KV."""

    shapes: dict[int, LayerShape] = field(default_factory=dict)


def shared_prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed_batch: DecodeBatch | ShapeProbe | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function registered with transformers.

    Args:
        module: the layer; its `layer_idx` says which.
        query: [1, query_heads, tokens, dim], positions applied.
        key: [1, kv_heads, tokens, dim].
        value: [1, kv_heads, tokens, value_dim].
        attention_mask: not looked at.
        scaling: of the products, default dim ** -0.5.
        dropout: not looked at.
        packed_batch: the batch, handed through the model's forward.
        kwargs: what the model gives other attention functions; those that change the result are refused.

    Returns:
        [1, tokens, query_heads, value_dim], and no weights.
    """
    if packed_batch is None:
        raise PolicyError(
            f"{type(module).__name__} does not hand the keyword arguments of the model's forward on to its attention"
        )
    for name in _UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise PolicyError(
                f"{type(module).__name__} uses {name!r} in its attention, which is not supported"
            )
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    kv_heads, tokens = key.shape[1:3]
    folded = query[0].view(kv_heads, -1, tokens, query.shape[-1])
    out = query.new_empty(*folded.shape[:3], value.shape[-1])
    if isinstance(packed_batch, ShapeProbe):
        packed_batch.shapes[layer] = LayerShape(kv_heads, key.shape[-1], value.shape[-1])
        mask = causal_mask(tokens, 0, query.dtype, query.device)
        out = _encode(folded, key, value, mask, scale)
    else:
        for span in packed_batch.encoding:
            keys, values = span.prefix.layer(layer)
            keys[:, :, span.prefix.known :] = key[:, :, span.begin : span.end]
            values[:, :, span.prefix.known :] = value[:, :, span.begin : span.end]
            out[:, :, span.begin : span.end] = _encode(
                folded[:, :, span.begin : span.end], keys, values, span.mask, scale
            )
        if packed_batch.shared:
            _decode(packed_batch, layer, folded, key, value, scale, out)
    return out.flatten(0, 1).transpose(0, 1)[None], None


def causal_mask(tokens: int, known: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Additive mask [tokens, known + tokens] of new tokens behind `known` ones."""
    return torch.full(
        (tokens, known + tokens), torch.finfo(dtype).min, dtype=dtype, device=device
    ).triu_(known + 1)


def _encode(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """New tokens of one prefix: query [kv_heads, group, tokens, dim] over keys [1, kv_heads, prefix, dim]."""
    by_group = query.transpose(0, 1)
    group = len(by_group)
    keys, values = keys.expand(group, -1, -1, -1), values.expand(group, -1, -1, -1)
    return F.scaled_dot_product_attention(
        by_group, keys, values, attn_mask=mask, scale=scale
    ).transpose(0, 1)


def _decode(
    batch: DecodeBatch,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    out: Tensor,
) -> None:
    """Running rows: query [kv_heads, group, tokens, dim]; writes their new KV to `own` and their results to `out`."""
    assert batch.own is not None and batch.places is not None and batch.mask is not None
    num_rows, longest = len(batch.places), batch.mask.shape[-1]
    keys, values = batch.own.keys[layer], batch.own.values[layer]
    keys[batch.places, :, batch.lengths] = key[0, :, :num_rows].transpose(0, 1)
    values[batch.places, :, batch.lengths] = value[0, :, :num_rows].transpose(0, 1)

    by_row = query[:, :, :num_rows].permute(2, 0, 1, 3)
    own_out, own_lse = _attend(
        by_row, keys[:num_rows, :, :longest], values[:num_rows, :, :longest], batch.mask, scale
    )
    prefix_out, prefix_lse = torch.empty_like(own_out), torch.empty_like(own_lse)
    for part in batch.shared:
        prefix_out[part.rows], prefix_lse[part.rows] = _attend_prefixes(part, layer, by_row, scale)
    weight = torch.sigmoid(prefix_lse - own_lse)[..., None]
    out[:, :, :num_rows] = torch.lerp(own_out.float(), prefix_out.float(), weight).permute(
        1, 2, 0, 3
    )


def _attend_prefixes(
    part: Shared, layer: int, by_row: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Rows over their prefixes: by_row [rows, kv_heads, group, dim]; results and logarithms of the rows of `part`."""
    places, width = part.gather.shape
    longest, buffer = part.mask.shape[-1], part.pool.buffer
    keys, values = (
        buffer.keys[layer][:places, :, :longest],
        buffer.values[layer][:places, :, :longest],
    )
    heads, group = by_row.shape[1:3]
    query = by_row[part.gather].permute(0, 2, 3, 1, 4).reshape(places, heads, group * width, -1)
    found, lse = _attend(query, keys, values, part.mask, scale)
    found = found.view(places, heads, group, width, -1).permute(0, 3, 1, 2, 4).flatten(0, 1)
    return found[part.at], lse.view(places, heads, group, width).permute(0, 3, 1, 2).flatten(0, 1)[
        part.at
    ]


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Softmax attention and the logarithm of its denominators.

    Args:
        query: [batch, heads, queries, dim].
        keys: [batch, heads, keys, dim].
        values: [batch, heads, keys, value_dim].
        mask: additive, broadcast to [batch, heads, queries, keys].
        scale: of the products.

    Returns:
        [batch, heads, queries, value_dim] and float32 [batch, heads, queries].
    """
    if query.device.type == "cpu" and keys.shape[-1] == values.shape[-1]:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, keys, values, attn_mask=mask, scale=scale
        )
        return out, lse
    scores = torch.matmul(query, keys.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    lse = torch.logsumexp(scores, -1)
    return torch.matmul(torch.exp(scores - lse[..., None]).to(values.dtype), values), lse
