"""A policy over whatever writes tokens behind tokens: the engine of a trainer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, NamedTuple

from rstar_fast.errors import PolicyError
from rstar_fast.marks import STOP_MARKS
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats
from rstar_fast.policy.drafts import Draft, Group
from rstar_fast.policy.endings import Endings
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.prompts import PromptStyle

_SEED = (1 << 31) - 1


class Written(NamedTuple):
    """What an engine wrote.

    Attributes:
        token_ids: Token ids, one at least, with that of the mark or end of the text at the end.
        logprobs: Log-probability of each token id, nats. Empty where the engine does not tell.
        version: Number of the weights that drew them, >= 0.
    """

    token_ids: Sequence[int]
    logprobs: Sequence[float] = ()
    version: int = 0


Write = Callable[[str, list[int], dict[str, Any]], Awaitable[Written]]
"""A function of the problem's key, the token ids of a prefix, and how to go on behind it.

The last has `temperature`, `top_p`, `top_k` (-1 for all), `max_tokens`, `stop_token_ids` and `seed`
(31 bits).
"""


class TokenPolicy:
    """An `AsyncPolicy` over a coroutine function that writes one candidate.

    The function runs in the event loop in which the policy was made, as the engines of trainers
    belong to theirs.

    Args:
        write: Function that writes.
        tokenizer: Tokenizer of the model, which has the marks as tokens.
        prompt: Way to put the question to the model.
        name: Name of the engine in messages.

    Raises:
        PolicyError: The tokenizer has a mark that is no token.
    """

    def __init__(
        self, write: Write, tokenizer: Any, prompt: PromptStyle, name: str = "the engine"
    ) -> None:
        self.name = name
        self.stats = PolicyStats()
        self.prefix = PrefixTokens(tokenizer, prompt)
        eos = tokenizer.eos_token_id
        ends = frozenset(() if eos is None else (eos,))
        self._endings = Endings(tokenizer, ends, self.prefix.lead)
        self._marks = self._endings.stop_marks(STOP_MARKS)
        if not self._marks.all_tokens:
            raise PolicyError(
                f"expected a tokenizer with the marks {', '.join(STOP_MARKS)} as tokens; "
                "`train_policy` adds them"
            )
        self._write = write
        self._loop = asyncio.get_running_loop()

    def submit(self, request: ExpandRequest) -> "Future[Expansion]":
        """Begin one request."""
        return asyncio.run_coroutine_threadsafe(self._expand(request), self._loop)

    async def _expand(self, request: ExpandRequest) -> Expansion:
        tokens = self.prefix.of(request)
        draws = [self._draw(request, i, tokens) for i in range(request.num_candidates)]
        return Expansion(request.id, tuple(await asyncio.gather(*draws)))

    async def _draw(self, request: ExpandRequest, sample: int, tokens: list[int]) -> Candidate:
        sampling = {
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "top_k": request.sampling.top_k or -1,
            "max_tokens": request.sampling.max_tokens,
            "stop_token_ids": sorted(self._marks.tokens),
            "seed": request.draw_key(sample) & _SEED,
        }
        written = await self._write(request.problem_id, tokens, sampling)
        ids = list(written.token_ids)
        self.stats.generated_tokens += len(ids)
        # It ends with its last token: by a mark, by the end of a text, or cut.
        group = Group(request, tokens, len(ids), self._marks)
        draft = Draft(group, sample, ids, list(written.logprobs))
        found = self._endings.candidate(draft) if ids else None
        if found is None:
            raise PolicyError(f"{self.name} wrote no token for {request.problem_id}")
        return replace(found, version=written.version)
