"""Drawing one token per row from logits: exact temperature, top-k and top-p by inverse CDF, one uniform number a row."""

from typing import NamedTuple

import torch
from torch import Tensor

_TOP = 1024
"""Most probable tokens looked at first for top-p; rows whose nucleus is larger are sorted whole."""
_BLOCK = 128
"""Tokens summed together before the cumulative sum over a whole vocabulary; divides most large vocabularies."""


class Draw(NamedTuple):
    """One token per row.

    Attributes:
        tokens: int64 [rows].
        logprobs: float32 [rows], natural log under the unfiltered distribution at temperature 1; not finite where the row's
            logits hold NaN or +inf, and the token is then meaningless.
    """

    tokens: Tensor
    logprobs: Tensor


def draw(
    logits: Tensor, uniforms: Tensor, temperature: float, top_p: float = 1.0, top_k: int = 0
) -> Draw:
    """Draw one token per row.

    Top-k is applied first, top-p to what top-k left (renormalised), as transformers does.

    Args:
        logits: float32 [rows, vocabulary].
        uniforms: float64 [rows] in [0, 1), one per row; not looked at when the temperature is 0.
        temperature: 0 takes the most probable token (the lowest id of equals), else > 0.
        top_p: nucleus mass kept, in (0, 1].
        top_k: tokens kept, 0 keeps all.
    """
    top = logits.amax(-1, keepdim=True)
    weights = (logits - top).exp_()
    log_mass = weights.sum(-1).log()
    if temperature not in (0, 1):
        weights = (logits - top).div_(temperature).exp_()
    if temperature == 0:
        tokens = logits.argmax(-1)
    elif top_k == 0 and top_p >= 1:
        tokens = _whole_vocabulary(weights, uniforms)
    else:
        tokens = _most_probable(weights, uniforms, top_p, top_k)
    return Draw(tokens, (logits.gather(-1, tokens[:, None]) - top)[:, 0] - log_mass)


def _whole_vocabulary(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Inverse CDF over the vocabulary in id order: first the block of tokens, then the token in it."""
    rows, vocabulary = weights.shape
    blocks = torch.nn.functional.pad(weights, (0, -vocabulary % _BLOCK)).view(rows, -1, _BLOCK)
    block_ends = blocks.sum(-1).double().cumsum(-1)
    target = uniforms[:, None] * block_ends[:, -1:]
    block = _first_above(block_ends, target)
    rest = (
        target
        - torch.where(
            block > 0, block_ends.gather(-1, (block - 1).clamp(min=0)[:, None])[:, 0], 0.0
        )[:, None]
    )
    inside = blocks[torch.arange(rows, device=weights.device), block].double()
    # The two sums are rounded differently, so `rest` may pass the block's own last value by a hair.
    ends = inside.cumsum(-1)
    offset = _first_above(ends, torch.minimum(rest, ends[:, -1:] * (1 - 1e-12)))
    return (block * _BLOCK + offset).clamp(max=vocabulary - 1)


def _most_probable(weights: Tensor, uniforms: Tensor, top_p: float, top_k: int) -> Tensor:
    """Inverse CDF over the most probable tokens, highest first."""
    vocabulary = weights.shape[-1]
    count = min(top_k or _TOP, vocabulary)
    values, ids = weights.topk(count, -1)
    wanted = top_p * (values if top_k else weights).sum(-1, dtype=torch.float64)
    tokens, enough = _nucleus(values, ids, wanted, uniforms)
    if not top_k and count < vocabulary and not bool(enough.all()):
        late = ~enough
        values, ids = weights[late].sort(-1, descending=True)
        tokens[late] = _nucleus(values, ids, wanted[late], uniforms[late])[0]
    return tokens


def _nucleus(
    values: Tensor, ids: Tensor, wanted: Tensor, uniforms: Tensor
) -> tuple[Tensor, Tensor]:
    """The tokens drawn from the nuclei of sorted rows, and whether each row held its whole nucleus."""
    ends = values.double().cumsum(-1)
    last = (ends < wanted[:, None]).sum(-1).clamp(max=ends.shape[-1] - 1)[:, None]
    total = ends.gather(-1, last)
    place = torch.minimum(_first_above(ends, uniforms[:, None] * total)[:, None], last)
    return ids.gather(-1, place)[:, 0], ends[:, -1] >= wanted


def _first_above(ends: Tensor, target: Tensor) -> Tensor:
    """Index of the first cumulative value above the target, per row; both [rows, ...], the target one wide."""
    return torch.searchsorted(ends, target, right=True)[:, 0].clamp(max=ends.shape[-1] - 1)
