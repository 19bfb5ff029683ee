"""The requests that are being answered, their rows, and how both are packed into one forward."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rstar_fast.policy.attention import DecodeBatch, Shared, Span, causal_mask
from rstar_fast.policy.drafts import Draft, Group
from rstar_fast.policy.kept_attention import KeptEntries, kept_attention_fits
from rstar_fast.policy.kv import Layout, PrefixKV, PrefixPool, RowKV

_FEW_TOKENS = {"cpu": 64, "cuda": 512}
"""So many new tokens of a prefix are attended from one by one, by the type of the device.

More are quicker as a matrix.
"""


@dataclass(slots=True, eq=False)
class RowGroup(Group):
    """An admitted request and its rows.

    Attributes:
        prefix: Keys and values of the prefix.
        logits: Logits after the prefix, [1, vocabulary]. None before the prefix is encoded, and
            again after all candidates have begun.
        started: Number of candidates that have begun.
    """

    prefix: PrefixKV = field(kw_only=True)
    logits: Tensor | None = None
    started: int = 0


@dataclass(slots=True, eq=False)
class DecodeRow(Draft):
    """A candidate that is being written.

    The row buffer holds the keys and values of all its tokens but the newest.

    Attributes:
        group: Request that it belongs to.
        random: Random stream of its draws.
    """

    group: RowGroup
    random: np.random.Generator = field(kw_only=True)


class Packed(NamedTuple):
    """The inputs of one forward.

    Attributes:
        tokens: Token ids, int64 [1, tokens].
        positions: Positions, int64 [1, tokens].
        keep: Packed positions whose logits are wanted, int64 [rows + admitted]: that of each row,
            then that of the last token of each prefix that is being encoded.
        batch: Batch for the attention function.
    """

    tokens: Tensor
    positions: Tensor
    keep: Tensor
    batch: DecodeBatch


def pack_rows(
    rows: Sequence[DecodeRow], admitted: Sequence[RowGroup], own: RowKV, layout: Layout
) -> Packed:
    """Pack the newest token of every row, and the unknown tokens of the prefixes just admitted.

    Args:
        rows: Running rows, in the order of their places.
        admitted: Requests whose prefixes are to be encoded.
        own: Keys and values of the rows. Grows where the new tokens need room.
        layout: Form of the model's keys and values.
    """
    batch = DecodeBatch()
    tokens = [row.tokens[-1] for row in rows]
    positions = [row.group.prefix.num_tokens + len(row.tokens) - 1 for row in rows]
    keep = list(range(len(rows)))
    fits, entries = kept_attention_fits(layout), KeptEntries()
    if rows:
        own.reserve(max(len(row.tokens) for row in rows))
    if fits:
        for place, row in enumerate(rows):
            entries.add_row(place, row.group.prefix, place, len(row.tokens))
    elif rows:
        lengths = torch.tensor([len(row.tokens) - 1 for row in rows])
        batch.own = own
        batch.places = torch.arange(len(rows), device=layout.device)
        batch.lengths = lengths.to(layout.device)
        batch.mask = _mask(lengths + 1, layout)
        batch.shared = _shared(rows, layout)
    for group in admitted:
        known, begin = group.prefix.num_known, len(tokens)
        tokens += group.tokens[known:]
        positions += range(known, len(group.tokens))
        keep.append(len(tokens) - 1)
        new = len(tokens) - begin
        if fits and new <= _FEW_TOKENS[layout.device.type]:
            entries.add_prefix(begin, group.prefix)
            continue
        mask = causal_mask(new, known, layout.dtype, layout.device) if new > 1 else None
        batch.encoding.append(Span(begin, len(tokens), group.prefix, mask))
    batch.kept = entries.finish(own)
    packed = torch.tensor([tokens, positions]).to(layout.device)
    return Packed(packed[:1], packed[1:], torch.tensor(keep).to(layout.device), batch)


def _shared(rows: Sequence[DecodeRow], layout: Layout) -> list[Shared]:
    """Group the rows by the pool and the place of their prefixes."""
    pools: dict[PrefixPool, dict[int, list[int]]] = {}
    lengths: dict[PrefixPool, dict[int, int]] = {}
    for i, row in enumerate(rows):
        prefix = row.group.prefix
        pools.setdefault(prefix.pool, {}).setdefault(prefix.place, []).append(i)
        lengths.setdefault(prefix.pool, {})[prefix.place] = prefix.num_tokens
    found = []
    for pool, places in pools.items():
        width, num_places = max(map(len, places.values())), max(places) + 1
        members = [i for rows_here in places.values() for i in rows_here]
        gather = np.full((num_places, width), members[0])
        at: list[int] = []
        for place, rows_here in places.items():
            gather[place, : len(rows_here)] = rows_here
            at += range(place * width, place * width + len(rows_here))
        # A free place between others counts as one token long: a softmax needs a key to run over.
        tokens = torch.tensor([lengths[pool].get(place, 1) for place in range(num_places)])
        index = torch.from_numpy(gather).to(layout.device)
        rows_of, at_of = torch.tensor([members, at]).to(layout.device)
        found.append(Shared(pool, index, rows_of, at_of, _mask(tokens, layout)))
    return found


def _mask(lengths: Tensor, layout: Layout) -> Tensor:
    """Return the additive mask [len(lengths), 1, 1, longest] that shows each its first keys.

    Args:
        lengths: Number of keys that each may see, int64 [any], on the CPU.
        layout: Number type and device of the mask.
    """
    longest = int(lengths.max())
    mask = torch.zeros(len(lengths), 1, 1, longest, dtype=layout.dtype)
    mask.masked_fill_(
        torch.arange(longest) >= lengths[:, None, None, None], torch.finfo(layout.dtype).min
    )
    return mask.to(layout.device)
