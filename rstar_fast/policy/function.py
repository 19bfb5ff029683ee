"""A policy made of one function, for engines of one's own."""

from collections.abc import Callable, Sequence
from math import isfinite

from rstar_fast.errors import PolicyError
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats

Written = Sequence[str | Candidate]


class QueuedPolicy:
    """The queue of a `Policy` that answers requests in batches, each batch at once.

    Args:
        batch: most requests answered per step; 0 answers all.
        name: identity for the run record.
    """

    def __init__(self, batch: int, name: str) -> None:
        self.name = name
        self.stats = PolicyStats()
        self._batch = batch
        self._queue: list[ExpandRequest] = []

    @property
    def pending(self) -> int:
        """Requests added and not yet returned."""
        return len(self._queue)

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests."""
        self._queue.extend(requests)

    def cancel(self) -> None:
        """Forget all pending requests."""
        self._queue.clear()

    def _take(self) -> list[ExpandRequest]:
        """The next batch, taken off the queue."""
        count = self._batch or len(self._queue)
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken


class FunctionPolicy(QueuedPolicy):
    """A `Policy` over a function that answers a batch of requests at once.

    Args:
        function: given requests, returns for each, in order, the candidates of its next step: their texts, or `Candidate`s where
            token ids and log-probabilities are known. What it raises goes through to the caller of `step`.
        batch: most requests handed over at once; 0 hands over all.
        name: identity for the run record.

    Examples:
        >>> from rstar_fast.policy import Sampling
        >>> policy = FunctionPolicy(lambda requests: [["x = 1<end_of_step>"] * r.num_candidates for r in requests])
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
        """Call the function with the next requests."""
        if not self._queue:
            return []
        now = self._take()
        answers = self._function(now)
        if (
            not isinstance(answers, Sequence)
            or isinstance(answers, str)
            or len(answers) != len(now)
        ):
            got = (
                f"{len(answers)} answers"
                if isinstance(answers, Sequence)
                else repr(type(answers).__name__)
            )
            raise PolicyError(
                f"{self.name}: expected a list of one list of candidates for each of {len(now)} requests, got {got}"
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
