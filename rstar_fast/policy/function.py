"""A policy that is made of one function, for engines of the user's own."""

import itertools
import weakref
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from math import isfinite

from rstar_fast.checks import check_integer
from rstar_fast.errors import described
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats
from rstar_fast.policy.calls import Calls
from rstar_fast.remote import EventLoop, Retries
from rstar_fast.remote.retries import PASSING

Written = Sequence[str | Candidate]
OfOne = Callable[[ExpandRequest], Written | Awaitable[Written]]
OfMany = Callable[[list[ExpandRequest]], Sequence[Written] | Awaitable[Sequence[Written]]]


class FunctionPolicy:
    """An `AsyncPolicy` over a function, plain or `async def`.

    A candidate is the text of a step, or a `Candidate` where token ids and log-probabilities are
    known. A function that raises `TransientError`, `ConnectionError` or `TimeoutError` is called
    again, see `remote.Retries`. After another exception each request of the call is tried alone.
    One that fails alone fails its problem.

    Args:
        function: Function that takes a list of requests and returns one list of candidates for each
            request, in order. With `batch=None` it takes one request and returns its list.
        concurrency: Number of calls that are under way at most, >= 1. Plain functions are called in
            threads: 1 for one that is not thread-safe. Async functions are called in one event
            loop, the same for all searches.
        batch: Largest number of requests that a call gets, >= 0. 0 gives it all that wait when it
            begins. None gives it one request instead of a list.
        name: Name for the run record. None for the name of the function.

    Attributes:
        name: Name for the run record.
        stats: Running totals.

    Raises:
        ConfigError: `concurrency` or `batch` is out of range.

    Examples:
        >>> from rstar_fast.policy import Sampling
        >>> policy = FunctionPolicy(
        ...     lambda requests: [["x = 1<end_of_step>"] * r.num_candidates for r in requests]
        ... )
        >>> future = policy.submit(ExpandRequest(0, "p", 0, "What is 1?", (), 2, 0, Sampling()))
        >>> [candidate.text for candidate in future.result().candidates]
        ['x = 1<end_of_step>', 'x = 1<end_of_step>']
    """

    def __init__(
        self,
        function: OfMany | OfOne,
        concurrency: int = 32,
        batch: int | None = 0,
        name: str | None = None,
    ) -> None:
        check_integer("concurrency", concurrency, low=1)
        if batch is not None:
            check_integer("batch", batch, low=0)
        self.name = name or str(getattr(function, "__qualname__", type(function).__name__))
        self.stats = PolicyStats()
        self._calls = Calls(function, concurrency, batch, self.name)
        self._retries = Retries(f"policy {self.name}")
        self._loop = EventLoop(f"policy {self.name}")
        weakref.finalize(self, self._loop.close)

    def submit(self, request: ExpandRequest) -> "Future[Expansion]":
        """Begin a request."""
        return self._loop.run(self._answer(request))

    async def _answer(self, request: ExpandRequest) -> Expansion:
        tries = itertools.count()
        try:
            answer = await self._retries.call(
                # A request that is itself the cause must not hold up others for ever.
                lambda: self._calls.answer(request, alone=next(tries) >= 2)
            )
        except PASSING as error:
            # It was tried often enough. An exception would have the search try it once more.
            return self._wrong(request, described(error))
        return self._expansion(request, answer)

    def _expansion(self, request: ExpandRequest, answer: object) -> Expansion:
        if not isinstance(answer, Sequence) or isinstance(answer, str):
            return self._wrong(
                request, f"expected a list of candidates, got {type(answer).__name__}"
            )
        if not 1 <= len(answer) <= request.num_candidates:
            return self._wrong(
                request, f"expected 1 to {request.num_candidates} candidates, got {len(answer)}"
            )
        candidates = []
        for i, item in enumerate(answer):
            if not isinstance(item, str | Candidate):
                return self._wrong(
                    request,
                    f"candidate {i}: expected a str or a Candidate, got {type(item).__name__}",
                )
            candidate = Candidate(item) if isinstance(item, str) else item
            if candidate.logprobs and len(candidate.logprobs) != len(candidate.token_ids):
                counts = (
                    f"{len(candidate.token_ids)} token ids and {len(candidate.logprobs)} logprobs"
                )
                return self._wrong(
                    request,
                    f"candidate {i}: expected a log-probability for each token id, got {counts}",
                )
            if not all(map(isfinite, candidate.logprobs)):
                return self._wrong(
                    request,
                    f"candidate {i}: expected finite log-probabilities, got {candidate.logprobs}",
                )
            self.stats.generated_tokens += len(candidate.token_ids)
            candidates.append(candidate)
        return Expansion(request.id, tuple(candidates))

    def _wrong(self, request: ExpandRequest, reason: str) -> Expansion:
        return Expansion(request.id, error=f"{self.name}: {reason}")
