"""Drawing one token for each row of logits, by inverse CDF: one uniform number for each row.

Temperature, top-k and top-p are exact.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

_BLOCK = 128
"""Number of tokens that are summed together before the cumulative sum over a whole vocabulary.

It divides most large vocabularies.
"""
_TOP = (128, 1024)
"""Numbers of most probable tokens that top-p looks at. A larger nucleus sorts the whole row."""
_CACHED = 1 << 18
"""Number of logits that a CPU works on at a time, so that it finds them in its cache."""
_LEAST, _LEAST_EXP = -87.0, 2e-38
"""Least exponent that counts, and a number just above its exponential."""


class Draw(NamedTuple):
    """One drawn token for each row.

    Attributes:
        tokens: Token ids, int64 [rows].
        logprobs: Log-probabilities, float32 [rows], nats, under the unfiltered distribution at
            temperature 1. Not finite where the logits of the row hold NaN or +inf; the token is
            then meaningless.
    """

    tokens: Tensor
    logprobs: Tensor


def draw(
    logits: Tensor, uniforms: Tensor, temperature: float, top_p: float = 1.0, top_k: int = 0
) -> Draw:
    """Draw one token for each row.

    Top-k is applied first. Top-p is applied to the renormalised rest, as transformers does.

    Args:
        logits: Logits, of any floating type [rows, vocabulary]. Computed with in float32.
        uniforms: Uniform numbers in [0, 1), float64 [rows]. Not used at temperature 0.
        temperature: Temperature, >= 0. 0 takes the most probable token, of equals the lowest id.
        top_p: Mass of the nucleus that is kept, in (0, 1].
        top_k: Number of tokens that are kept, >= 0. 0 keeps all.
    """
    rows, vocabulary = logits.shape
    at_once = max(1, _CACHED // vocabulary) if logits.device.type == "cpu" else rows
    parts = [
        _draw(logits[i : i + at_once], uniforms[i : i + at_once], temperature, top_p, top_k)
        for i in range(0, rows, at_once)
    ]
    return Draw(
        torch.cat([part.tokens for part in parts]), torch.cat([part.logprobs for part in parts])
    )


def _draw(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float, top_k: int) -> Draw:
    logits = logits.float()
    top = logits.amax(-1, keepdim=True)
    shifted = logits - top
    weights = _exp(shifted)
    log_mass = weights.sum(-1).log()
    if temperature not in (0, 1):
        weights = _exp(shifted.div_(temperature))
    if temperature == 0:
        tokens = logits.argmax(-1)
    elif top_k == 0 and top_p >= 1:
        tokens = _whole_vocabulary(weights, uniforms)
    else:
        tokens = _most_probable(weights, uniforms, top_p, top_k)
    return Draw(tokens, (logits.gather(-1, tokens[:, None]) - top)[:, 0] - log_mass)


def _exp(values: Tensor) -> Tensor:
    """Return the exponentials. Those below the normal numbers of float32 are 0.

    Where they are not made 0, a CPU takes 30 times as long: for peaked logits at low temperatures.
    """
    if values.device.type != "cpu":
        return values.exp()
    return torch.threshold_(values.clamp(min=_LEAST).exp_(), _LEAST_EXP, 0.0)


def _whole_vocabulary(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Draw from all tokens in the order of their ids: first a block of them, then one in it."""
    rows, vocabulary = weights.shape
    blocks = nn.functional.pad(weights, (0, -vocabulary % _BLOCK)).view(rows, -1, _BLOCK)
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
    # The two sums are rounded differently: `rest` may exceed the last value of the block by a hair.
    ends = inside.cumsum(-1)
    offset = _first_above(ends, torch.minimum(rest, ends[:, -1:] * (1 - 1e-12)))
    return (block * _BLOCK + offset).clamp(max=vocabulary - 1)


def _most_probable(weights: Tensor, uniforms: Tensor, top_p: float, top_k: int) -> Tensor:
    """Draw from the most probable tokens, in descending order of their weights."""
    vocabulary = weights.shape[-1]
    if top_k:
        values, ids = weights.topk(min(top_k, vocabulary), -1)
        return _nucleus(values, ids, top_p * values.sum(-1, dtype=torch.float64), uniforms)[0]
    wanted = top_p * weights.sum(-1, dtype=torch.float64)
    tokens = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
    late = torch.arange(len(weights), device=weights.device)
    for count in (*_TOP, vocabulary):
        values, ids = weights[late].topk(min(count, vocabulary), -1)
        tokens[late], enough = _nucleus(values, ids, wanted[late], uniforms[late])
        late = late[~enough]
        if not len(late):
            break
    return tokens


def _nucleus(
    values: Tensor, ids: Tensor, wanted: Tensor, uniforms: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw from the nuclei of sorted rows.

    Args:
        values: Weights in descending order, float32 [rows, tokens].
        ids: Token ids of the weights, int64 [rows, tokens].
        wanted: Weight of each row's nucleus, float64 [rows].
        uniforms: Uniform numbers in [0, 1), float64 [rows].

    Returns:
        Token ids, int64 [rows], and whether each row contains its whole nucleus, bool [rows].
    """
    ends = values.double().cumsum(-1)
    last = (ends < wanted[:, None]).sum(-1).clamp(max=ends.shape[-1] - 1)[:, None]
    total = ends.gather(-1, last)
    place = torch.minimum(_first_above(ends, uniforms[:, None] * total)[:, None], last)
    return ids.gather(-1, place)[:, 0], ends[:, -1] >= wanted


def _first_above(ends: Tensor, target: Tensor) -> Tensor:
    """Return the index of the first cumulative value above the target, int64 [rows].

    Args:
        ends: Cumulative values [rows, any].
        target: Targets [rows, 1].
    """
    return torch.searchsorted(ends, target, right=True)[:, 0].clamp(max=ends.shape[-1] - 1)
