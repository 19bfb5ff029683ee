"""Attention over a packed batch: rows that share a prefix read its keys and values once.

One forward holds, packed into a single sequence, the newest token of every running row and the
prefixes that are being encoded:

    tokens  | row 0 | row 1 | row 2 | row 3 || prefix of request C ... | prefix of request D ... |

The softmax of a row runs over two sets of keys: the prefix of its request, and the tokens that the
row wrote itself. Each part is computed on its own, with the logarithm of its softmax's denominator
(lse). The two are then joined:

    out = w * prefix + (1 - w) * own,   w = sigmoid(lse_prefix - lse_own)

The rows of one request stand side by side as queries of its prefix. All prefixes of one size class
are read in one call, padded to the longest.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rstar_fast.errors import PolicyError
from rstar_fast.policy.kept_attention import KeptAttention
from rstar_fast.policy.kv import LayerShape, PrefixKV, PrefixPool, RowKV


@dataclass(slots=True)
class Span:
    """The new tokens of a prefix that is being encoded: packed positions [begin, end).

    Attributes:
        begin: Packed position of the first new token.
        end: Packed position after the last new token.
        prefix: Keys and values of the prefix. Those of the new tokens are written to it.
        mask: Additive mask [new tokens, prefix tokens]. None if there is one new token.
    """

    begin: int
    end: int
    prefix: PrefixKV
    mask: Tensor | None = None


@dataclass(slots=True)
class Shared:
    """The running rows whose prefixes lie in one pool.

    Attributes:
        pool: Pool of the prefixes.
        gather: Row numbers by the place of their prefix, int64 [places, width]. Places with fewer
            than `width` rows are padded with an arbitrary row number.
        rows: Row numbers, int64 [rows].
        at: Index of each of `rows` in the flattened `gather`, int64 [rows].
        mask: Additive mask [places, 1, 1, longest prefix].
    """

    pool: PrefixPool
    gather: Tensor
    rows: Tensor
    at: Tensor
    mask: Tensor


@dataclass(slots=True)
class DecodeBatch:
    """One forward, as the attention function sees it.

    `own`, `places`, `lengths` and `mask` are None if no row is running, or `kept` holds the rows.

    Attributes:
        shared: Running rows, by the pool of their prefixes.
        encoding: Prefixes that are being encoded.
        own: Keys and values that the rows wrote themselves. Those of the newest tokens are written
            to it.
        places: Place of each row in `own`, int64 [rows]: 0, 1, 2, ...
        lengths: Number of own tokens of each row before this forward, int64 [rows].
        mask: Additive mask [rows, 1, 1, longest row].
        kept: Attention of the tokens that stand in a table, which are not among the others.
    """

    shared: list[Shared] = field(default_factory=list)
    encoding: list[Span] = field(default_factory=list)
    own: RowKV | None = None
    places: Tensor | None = None
    lengths: Tensor | None = None
    mask: Tensor | None = None
    kept: KeptAttention | None = None


@dataclass(slots=True)
class ShapeProbe:
    """A stand-in for the batch in a model's first forward, which is one plain text.

    Attributes:
        shapes: Shapes of the keys and values, by layer. Filled by the forward.
        windows: Numbers of positions that layers see, of those that do not see all. Filled too.
    """

    shapes: dict[int, LayerShape] = field(default_factory=dict)
    windows: list[int] = field(default_factory=list)


def shared_prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    batch: DecodeBatch | ShapeProbe,
    scale: float | None,
    window: int | None,
) -> Tensor:
    """Attend in one layer over a packed batch.

    Args:
        module: Attention module of the layer. Its `layer_idx` is the layer's number.
        query: Queries [1, query_heads, tokens, dim], positions applied.
        key: Keys [1, kv_heads, tokens, dim], positions applied.
        value: Values [1, kv_heads, tokens, value_dim].
        batch: Batch. The new keys and values are written to it.
        scale: Factor of the products of queries and keys. None for dim ** -0.5.
        window: Number of positions that the layer sees. Only noted by a probe: the policy takes no
            longer text. None for all.

    Returns:
        Results [1, tokens, query_heads, value_dim].
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    kv_heads, tokens = key.shape[1:3]
    folded = query[0].view(kv_heads, -1, tokens, query.shape[-1])
    if isinstance(batch, ShapeProbe):
        if layer in batch.shapes:
            raise PolicyError(
                f"{type(module).__name__} attends more than once in layer {layer}, "
                "which is not supported"
            )
        batch.shapes[layer] = LayerShape(kv_heads, key.shape[-1], value.shape[-1])
        batch.windows += [] if window is None else [window]
        mask = causal_mask(tokens, 0, query.dtype, query.device)
        return _encode(folded, key, value, mask, scale).flatten(0, 1).transpose(0, 1)[None]
    results = query.new_empty(tokens, query.shape[1], value.shape[-1])
    out = results.view(tokens, kv_heads, -1, value.shape[-1]).permute(1, 2, 0, 3)
    for span in batch.encoding:
        keys, values = span.prefix.layer(layer)
        keys[:, :, span.prefix.num_known :] = key[:, :, span.begin : span.end]
        values[:, :, span.prefix.num_known :] = value[:, :, span.begin : span.end]
        out[:, :, span.begin : span.end] = _encode(
            folded[:, :, span.begin : span.end], keys, values, span.mask, scale
        )
    if batch.shared:
        _decode(batch, layer, folded, key, value, scale, out)
    if batch.kept:
        batch.kept(layer, query[0], key[0], value[0], scale, results.transpose(0, 1))
    return results[None]


def causal_mask(tokens: int, known: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the additive mask [tokens, known + tokens] of new tokens after known ones.

    Args:
        tokens: Number of new tokens.
        known: Number of tokens before them.
        dtype: Number type of the mask.
        device: Device of the mask.
    """
    return torch.full(
        (tokens, known + tokens), torch.finfo(dtype).min, dtype=dtype, device=device
    ).triu_(known + 1)


def _encode(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """Attend from the new tokens of one prefix.

    Args:
        query: Queries [kv_heads, group, tokens, dim].
        keys: Keys [1, kv_heads, prefix tokens, dim].
        values: Values [1, kv_heads, prefix tokens, value_dim].
        mask: Additive mask [tokens, prefix tokens]. None for no mask.
        scale: Factor of the products.

    Returns:
        Results [kv_heads, group, tokens, value_dim].
    """
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
    """Attend from the running rows, which are the first tokens of the packed sequence.

    Args:
        batch: Batch. The new keys and values of the rows are written to its `own`.
        layer: Number of the layer.
        query: Queries [kv_heads, group, tokens, dim].
        key: Keys [1, kv_heads, tokens, dim].
        value: Values [1, kv_heads, tokens, value_dim].
        scale: Factor of the products.
        out: Results [kv_heads, group, tokens, value_dim]. Those of the rows are written to it.
    """
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
    """Attend from rows to the prefixes of one pool.

    Args:
        part: Rows and their prefixes.
        layer: Number of the layer.
        by_row: Queries of all running rows [rows, kv_heads, group, dim].
        scale: Factor of the products.

    Returns:
        Results [rows of part, kv_heads, group, value_dim] and the logarithms of their denominators,
        float32 [rows of part, kv_heads, group].
    """
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
    """Compute softmax attention and the logarithms of its denominators.

    Args:
        query: Queries [batch, heads, queries, dim].
        keys: Keys [batch, heads, keys, dim].
        values: Values [batch, heads, keys, value_dim].
        mask: Additive mask, broadcast to [batch, heads, queries, keys]. None for no mask.
        scale: Factor of the products.

    Returns:
        Results [batch, heads, queries, value_dim] and logarithms, float32 [batch, heads, queries].
    """
    if query.device.type == "cpu" and keys.shape[-1] == values.shape[-1]:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, keys, values, attn_mask=mask, scale=scale
        )
        return out, lse
    scores = torch.matmul(query, keys.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    # By hand: torch.logsumexp looks for infinite maxima, which costs a GPU four more launches.
    top = scores.amax(-1, keepdim=True)
    weights = torch.exp(scores - top)
    total = weights.sum(-1, keepdim=True)
    found = torch.matmul((weights / total).to(values.dtype), values)
    return found, (total.log() + top)[..., 0]
