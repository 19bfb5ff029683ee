"""Drawing a candidate that was not drawn before: sampling without replacement.

A candidate that was drawn takes its probability out of what is left (Shi, Bieber and Singh,
"Incremental Sampling Without Replacement for Sequence Models", 2020). At each token, what the drawn
candidates that go on with it have left is their probability after the tokens so far.
"""

from collections.abc import Sequence
from math import exp

import torch
from torch import Tensor

from rstar_fast.policy.base import Drawn

_RESIDUE = 1e-5
"""Share of a token's probability below which what is left of it is taken for rounding."""


def left_over(logits: Tensor, tokens: Sequence[int], drawn: Sequence[Drawn]) -> Tensor:
    """Return logits of what the drawn candidates have left, float32 [vocabulary].

    They are the logits themselves where no drawn candidate begins with the tokens, or nothing is
    left.

    Args:
        logits: Logits of the next token, float32 [vocabulary].
        tokens: Token ids written so far.
        drawn: Candidates that were drawn before, at temperature 1 and from all tokens.
    """
    num_tokens = len(tokens)
    taken: dict[int, float] = {}
    for ids, logprobs in drawn:
        if len(ids) > num_tokens and ids[:num_tokens] == tuple(tokens):
            token = ids[num_tokens]
            taken[token] = taken.get(token, 0.0) + exp(sum(logprobs[num_tokens:]))
    if not taken:
        return logits
    probabilities = logits.double().softmax(-1)
    at = torch.tensor(list(taken), device=logits.device)
    before = probabilities[at]
    left = before - torch.tensor(list(taken.values()), dtype=torch.float64, device=logits.device)
    probabilities[at] = torch.where(left > _RESIDUE * before, left, 0.0)
    return probabilities.log().float() if bool(probabilities.any()) else logits
