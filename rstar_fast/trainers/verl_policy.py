"""A policy over the server manager of `verl`."""

import asyncio
from concurrent.futures import Future
from typing import Any

from rstar_fast.errors import PolicyError
from rstar_fast.marks import STOP_MARKS
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats
from rstar_fast.policy.drafts import Draft, Group
from rstar_fast.policy.endings import Endings
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.prompts import PromptStyle


class ManagerPolicy:
    """An `AsyncPolicy` that draws from the servers of `verl`, token ids in and out.

    All requests of a problem go to the same server, which keeps their common beginnings. A
    candidate has the number of the training step of the weights that drew it.

    Args:
        manager: Server manager of verl (`LLMServerClient`).
        tokenizer: Tokenizer of the model, which has the marks as tokens.
        prompt: Way to put the question to the model.
        sampling: Sampling parameters that verl asks for. Those of a request win.
        seeded: Whether each draw has its own seed, which verl's vLLM servers take.

    Raises:
        PolicyError: The tokenizer has a mark that is no token.
    """

    name = "verl"

    def __init__(
        self,
        manager: Any,
        tokenizer: Any,
        prompt: PromptStyle,
        sampling: dict[str, Any],
        seeded: bool,
    ) -> None:
        self.stats = PolicyStats()
        self.prefix = PrefixTokens(tokenizer, prompt)
        eos = tokenizer.eos_token_id
        self._endings = Endings(
            tokenizer, frozenset(() if eos is None else (eos,)), self.prefix.lead
        )
        self._marks = self._endings.stop_marks(STOP_MARKS)
        if not self._marks.all_tokens:
            raise PolicyError(
                f"expected a tokenizer with the marks {', '.join(STOP_MARKS)} as tokens; "
                "`train_policy` adds them"
            )
        self._manager = manager
        self._sampling = sampling
        self._seeded = seeded
        # The actors of verl answer in the loop of the agents.
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
            **self._sampling,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "top_k": request.sampling.top_k or -1,
            "max_tokens": request.sampling.max_tokens,
            "stop_token_ids": sorted(self._marks.tokens),
        }
        if self._seeded:
            sampling["seed"] = request.draw_key(sample) >> 1
        output = await self._manager.generate(
            request.problem_id, prompt_ids=tokens, sampling_params=sampling
        )
        ids = list(output.token_ids)
        if not ids:
            raise PolicyError(f"{request.problem_id}: verl's server wrote no token")
        self.stats.generated_tokens += len(ids)
        group = Group(request, tokens, len(ids), self._marks)
        found = self._endings.candidate(Draft(group, sample, ids, list(output.log_probs or ())))
        if found is None:
            raise PolicyError(f"{request.problem_id}: verl's server stopped without an end")
        version = output.extra_fields.get("global_steps") or 0
        return Candidate(
            found.text,
            found.token_ids,
            found.logprobs,
            found.finish,
            found.exact,
            found.ends_with_token,
            version,
        )
