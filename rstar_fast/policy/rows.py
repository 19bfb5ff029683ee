"""The requests being answered, their rows, and how they are packed into one forward."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rstar_fast.policy.attention import DecodeBatch, Shared, Span, causal_mask
from rstar_fast.policy.base import Candidate, ExpandRequest
from rstar_fast.policy.kv import Layout, PrefixKV, PrefixPool, RowKV
from rstar_fast.policy.stopping import StopMarks


@dataclass(slots=True, eq=False)
class Group:
    """An admitted request.

    Attributes:
        tokens: its prefix.
        prefix: the KV of that.
        budget: tokens a candidate may have.
        logits: [1, vocabulary] behind the prefix, until all its candidates have begun.
        started: candidates begun.
        candidates: by sample index, those done.
    """

    request: ExpandRequest
    tokens: list[int]
    prefix: PrefixKV
    budget: int
    marks: StopMarks
    logits: Tensor | None = None
    started: int = 0
    candidates: dict[int, Candidate] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class DecodeRow:
    """A candidate being written; the KV of all its tokens but the newest is in the row buffer."""

    group: Group
    sample: int
    random: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Packed(NamedTuple):
    """The inputs of one forward.

    Attributes:
        tokens: int64 [1, tokens].
        positions: int64 [1, tokens].
        keep: int64 [rows + admitted], packed positions whose logits are wanted: of each row, then of the last token of each prefix
            being encoded.
        batch: what the attention function needs.
    """

    tokens: Tensor
    positions: Tensor
    keep: Tensor
    batch: DecodeBatch


def pack_rows(
    rows: Sequence[DecodeRow], admitted: Sequence[Group], own: RowKV, layout: Layout
) -> Packed:
    """The newest token of every row, in the order of the rows, and the unknown tokens of the prefixes just admitted."""
    batch = DecodeBatch()
    tokens = [row.tokens[-1] for row in rows]
    positions = [row.group.prefix.tokens + len(row.tokens) - 1 for row in rows]
    keep = list(range(len(rows)))
    if rows:
        lengths = torch.tensor([len(row.tokens) - 1 for row in rows])
        own.reserve(int(lengths.max()) + 1)
        batch.own = own
        batch.places = torch.arange(len(rows), device=layout.device)
        batch.lengths = lengths.to(layout.device)
        batch.mask = _mask(lengths + 1, layout)
        batch.shared = _shared(rows, layout)
    for group in admitted:
        known, begin = group.prefix.known, len(tokens)
        tokens += group.tokens[known:]
        positions += range(known, len(group.tokens))
        keep.append(len(tokens) - 1)
        new = len(tokens) - begin
        mask = causal_mask(new, known, layout.dtype, layout.device) if new > 1 else None
        batch.encoding.append(Span(begin, len(tokens), group.prefix, mask))
    packed = torch.tensor([tokens, positions]).to(layout.device)
    return Packed(packed[:1], packed[1:], torch.tensor(keep).to(layout.device), batch)


def _shared(rows: Sequence[DecodeRow], layout: Layout) -> list[Shared]:
    """The rows by the pool and the place of their prefixes."""
    pools: dict[PrefixPool, dict[int, list[int]]] = {}
    lengths: dict[PrefixPool, dict[int, int]] = {}
    for i, row in enumerate(rows):
        prefix = row.group.prefix
        pools.setdefault(prefix.pool, {}).setdefault(prefix.place, []).append(i)
        lengths.setdefault(prefix.pool, {})[prefix.place] = prefix.tokens
    found = []
    for pool, places in pools.items():
        width, num_places = max(map(len, places.values())), max(places) + 1
        members = [i for rows_here in places.values() for i in rows_here]
        gather = np.full((num_places, width), members[0])
        at: list[int] = []
        for place, rows_here in places.items():
            gather[place, : len(rows_here)] = rows_here
            at += range(place * width, place * width + len(rows_here))
        # A free place between them: of one token, so that its softmax has something to run over.
        tokens = torch.tensor([lengths[pool].get(place, 1) for place in range(num_places)])
        index = torch.from_numpy(gather).to(layout.device)
        rows_of, at_of = torch.tensor([members, at]).to(layout.device)
        found.append(Shared(pool, index, rows_of, at_of, _mask(tokens, layout)))
    return found


def _mask(lengths: Tensor, layout: Layout) -> Tensor:
    """Additive [len(lengths), 1, 1, longest]: each may look at its first so many keys."""
    longest = int(lengths.max())
    mask = torch.zeros(len(lengths), 1, 1, longest, dtype=layout.dtype)
    mask.masked_fill_(
        torch.arange(longest) >= lengths[:, None, None, None], torch.finfo(layout.dtype).min
    )
    return mask.to(layout.device)
