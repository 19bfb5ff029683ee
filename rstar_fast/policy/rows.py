"""The requests being answered, their rows, and how they are packed into one forward."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rstar_fast.policy.attention import PackedBatch, Span, causal_mask
from rstar_fast.policy.base import Candidate, ExpandRequest
from rstar_fast.policy.kv import Layout, PrefixKV, RowKV
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
class Row:
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
        keep: int64 [rows + admitted], packed positions whose logits are wanted: of each row by its place, then of the last token
            of each prefix being encoded.
        batch: what the attention function needs.
    """

    tokens: Tensor
    positions: Tensor
    keep: Tensor
    batch: PackedBatch


def pack(rows: Sequence[Row], groups: Sequence[Group], admitted: Sequence[Group], own: RowKV, layout: Layout) -> Packed:
    """The newest token of every row, rows of a request side by side, and the unknown tokens of the prefixes just admitted."""
    batch = PackedBatch()
    number = {id(group): i for i, group in enumerate(groups)}
    order = sorted(range(len(rows)), key=lambda place: number[id(rows[place].group)])
    tokens, positions, keep = [], [], []
    for at, place in enumerate(order):
        row = rows[place]
        tokens.append(row.tokens[-1])
        positions.append(len(row.group.tokens) + len(row.tokens) - 1)
        if batch.shared and batch.shared[-1].prefix is row.group.prefix:
            batch.shared[-1].end = at + 1
        else:
            batch.shared.append(Span(at, at + 1, row.group.prefix))
    if rows:
        lengths = torch.tensor([len(row.tokens) - 1 for row in rows])
        longest = int(lengths.max()) + 1
        own.reserve(longest)
        batch.own = own
        batch.rows = torch.tensor(order).to(layout.device)
        batch.order = batch.rows.argsort()
        batch.lengths = lengths[order].to(layout.device)
        own_mask = torch.zeros(len(rows), 1, 1, longest, dtype=layout.dtype)
        own_mask.masked_fill_(torch.arange(longest) > lengths[:, None, None, None], torch.finfo(layout.dtype).min)
        batch.mask = own_mask.to(layout.device)
        keep = batch.order.tolist()
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
