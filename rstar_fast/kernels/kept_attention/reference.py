"""Kept attention by torch, one token after the other. It shows what the kernels compute."""

import torch
from torch import Tensor

from rstar_fast.kernels.kept_attention.table import KeptTable


def kept_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: KeptTable,
    layer: int,
    out: Tensor,
    scale: float,
) -> None:
    """Write and attend. See `api.kept_attention`."""
    own, *prefixes = table.tensors
    entries = [entry for entry in table.entries.T.tolist() if entry[3]]
    for token, buffer, place, prefix_tokens, row, row_tokens in entries:
        target, here, last = (
            (prefixes[buffer], place, prefix_tokens) if row < 0 else (own, row, row_tokens)
        )
        target[layer, 0, here, :, last - 1] = key[:, token]
        target[layer, 1, here, :, last - 1] = value[:, token]
    group = len(query) // len(key)
    for token, buffer, place, prefix_tokens, row, row_tokens in entries:
        seen = prefixes[buffer][layer, :, place, :, :prefix_tokens]
        if row >= 0:
            seen = torch.cat([seen, own[layer, :, row, :, :row_tokens]], 2)
        # [2, query_heads, seen tokens, dim]
        keys, values = seen.repeat_interleave(group, 1)
        weights = (torch.einsum("hd,htd->ht", query[:, token], keys) * scale).softmax(-1)
        out[:, token] = torch.einsum("ht,htd->hd", weights, values)
