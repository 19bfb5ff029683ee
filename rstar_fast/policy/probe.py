"""A short text that is decoded behind kept keys and values, as candidates are."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from rstar_fast.policy.attention import DecodeBatch
from rstar_fast.policy.base import ExpandRequest, Sampling
from rstar_fast.policy.kv import Layout, PrefixPools, RowKV
from rstar_fast.policy.rows import DecodeRow, RowGroup, pack_rows
from rstar_fast.seeding import draw_key, stream

if TYPE_CHECKING:
    from rstar_fast.policy.stopping import StopMarks

_TOKENS = 10
_DECODED = 2

Forward = Callable[[Tensor, Tensor, DecodeBatch, Tensor], Tensor]


def probe_text(model: Any, context_tokens: int) -> list[int]:
    """Return the token ids of a text that a model can attend over in full."""
    num_embeddings = model.get_input_embeddings().num_embeddings
    return [token % num_embeddings for token in range(1, 1 + min(_TOKENS, context_tokens))]


def decoded(forward: Forward, layout: Layout, text: list[int]) -> tuple[Tensor, Tensor]:
    """Encode two prefixes of a text, of different length, and decode two tokens behind each.

    Args:
        forward: Forward over packed tokens, see `CausalModel.forward`.
        layout: Form of the model's keys and values.
        text: Token ids, at least three.

    Returns:
        Logits [6, vocabulary], and the positions in the text that they follow, int64 [6].
    """
    pools, own = PrefixPools(layout), RowKV(layout, 2)
    longest = len(text) - _DECODED
    groups = [_group(text[:length], pools) for length in (longest, (longest + 1) // 2)]
    rows = [DecodeRow(group, 0, random=stream(draw_key(0, "", 0, 0))) for group in groups]
    logits: list[Tensor] = []
    index: list[int] = []
    for step in range(_DECODED + 1):
        for row in rows if step else ():
            row.tokens.append(text[len(row.group.tokens) + step - 1])
        packed = pack_rows(rows, [], own, layout) if step else pack_rows([], groups, own, layout)
        # A copy: the next forward may write over it.
        found = forward(packed.tokens, packed.positions, packed.batch, packed.keep)
        logits.append(found.clone())
        index += [len(group.tokens) + step - 1 for group in groups]
    return torch.cat(logits), torch.tensor(index, device=logits[0].device)


def _group(tokens: list[int], pools: PrefixPools) -> RowGroup:
    request = ExpandRequest(0, "", 0, "", (), 1, 0, Sampling())
    # No mark is looked for.
    marks = cast("StopMarks", None)
    return RowGroup(request, tokens, _DECODED, marks, prefix=pools.new_prefix(len(tokens)))
