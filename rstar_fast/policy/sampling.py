"""Drawing one token for each row of logits, by inverse CDF: one uniform number for each row.

Temperature, top-k and top-p are exact.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_TOP = 1024
"""Number of most probable tokens that top-p looks at first. Larger nuclei sort the whole row."""
_BLOCK = 128
"""Number of tokens that are summed together before the cumulative sum over a whole vocabulary.

It divides most large vocabularies.
"""


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
        logits: Logits, float32 [rows, vocabulary].
        uniforms: Uniform numbers in [0, 1), float64 [rows]. Not used at temperature 0.
        temperature: Temperature, >= 0. 0 takes the most probable token, of equals the lowest id.
        top_p: Mass of the nucleus that is kept, in (0, 1].
        top_k: Number of tokens that are kept, >= 0. 0 keeps all.
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
    """Draw from all tokens in the order of their ids: first a block of them, then one in it."""
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
    # The two sums are rounded differently: `rest` may exceed the last value of the block by a hair.
    ends = inside.cumsum(-1)
    offset = _first_above(ends, torch.minimum(rest, ends[:, -1:] * (1 - 1e-12)))
    return (block * _BLOCK + offset).clamp(max=vocabulary - 1)


def _most_probable(weights: Tensor, uniforms: Tensor, top_p: float, top_k: int) -> Tensor:
    """Draw from the most probable tokens, in descending order of their weights."""
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
