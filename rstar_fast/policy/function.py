"""A policy that is made of one function, for engines of the user's own."""

import inspect
from collections.abc import Callable, Sequence
from math import isfinite

from rstar_fast.errors import PolicyError
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats

Written = Sequence[str | Candidate]

_PLAIN_FORM = 'def write(requests): return [["a step<end_of_step>"] for request in requests]'


class QueuedPolicy:
    """The queue of a `Policy` that answers its requests in batches, each batch in one step.

    Args:
        batch: Largest number of requests that a step answers, >= 0. 0 answers all.
        name: Name for the run record.

    Attributes:
        name: Name for the run record.
        stats: Running totals.
    """

    def __init__(self, batch: int, name: str) -> None:
        self.name = name
        self.stats = PolicyStats()
        self._batch = batch
        self._queue: list[ExpandRequest] = []

    @property
    def pending(self) -> int:
        """Number of requests that were added and not yet returned."""
        return len(self._queue)

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests."""
        self._queue.extend(requests)

    def cancel(self) -> None:
        """Forget all pending requests."""
        self._queue.clear()

    def _take(self) -> list[ExpandRequest]:
        """Take the next batch off the queue."""
        count = self._batch or len(self._queue)
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken


class FunctionPolicy(QueuedPolicy):
    """A `Policy` over a function that answers a batch of requests at once.

    Args:
        function: Function that takes a list of requests and returns one list of candidates for each
            request, in order. A candidate is the text of a step, or a `Candidate` where token ids
            and log-probabilities are known. An exception of the function goes through to the
            caller of `step`. Async functions are not taken.
        batch: Largest number of requests that the function gets at once, >= 0. 0 gives it all.
        name: Name for the run record. None for the name of the function.

    Examples:
        >>> from rstar_fast.policy import Sampling
        >>> policy = FunctionPolicy(
        ...     lambda requests: [["x = 1<end_of_step>"] * r.num_candidates for r in requests]
        ... )
        >>> policy.add([ExpandRequest(0, "p", 0, "What is 1?", (), 2, 0, Sampling())])
        >>> [candidate.text for candidate in policy.step()[0].candidates]
        ['x = 1<end_of_step>', 'x = 1<end_of_step>']
    """

    def __init__(
        self,
        function: Callable[[list[ExpandRequest]], Sequence[Written]],
        batch: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(
            batch, name or str(getattr(function, "__qualname__", type(function).__name__))
        )
        self._function = function

    def step(self) -> list[Expansion]:
        """Call the function with the next requests and return its answers.

        Raises:
            PolicyError: The function did not return one list of candidates for each request.
        """
        if not self._queue:
            return []
        now = self._take()
        answers = self._function(now)
        if (
            not isinstance(answers, Sequence)
            or isinstance(answers, str)
            or len(answers) != len(now)
        ):
            raise PolicyError(
                f"{self.name}: expected one list of candidates for each of {len(now)} requests, "
                f"as from `{_PLAIN_FORM}`; got {_described(answers)}"
            )
        return [
            self._expansion(request, answer) for request, answer in zip(now, answers, strict=True)
        ]

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


def _described(answers: object) -> str:
    """Return what a function gave back, in words."""
    if inspect.iscoroutine(answers):
        # Python would warn that it was never awaited.
        answers.close()
        return "a coroutine: async functions are not taken yet"
    if isinstance(answers, Sequence) and not isinstance(answers, str):
        return f"{len(answers)} answers"
    return f"an object of type {type(answers).__name__}"
