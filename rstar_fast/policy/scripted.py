"""A policy that answers from a script, for tests of what surrounds a policy."""

import random
from collections.abc import Callable, Mapping, Sequence

from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats

Script = Mapping[str, Sequence[str]] | Callable[[ExpandRequest], Sequence[str]]


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


class ScriptedPolicy(QueuedPolicy):
    """A policy that answers every request from a script.

    Args:
        script: Candidates by the text of the path (its segments joined, "" at the root), or a
            function of the request. Only the first `num_candidates` of them are given. A path
            that the script lacks gets an error.
        batch: Largest number of requests that a step answers, >= 0. 0 answers all.
        shuffle_seed: Seed of a random order of the answers. None answers first come, first served.
        name: Name for the run record.
    """

    def __init__(
        self,
        script: Script,
        batch: int = 0,
        shuffle_seed: int | None = None,
        name: str = "scripted",
    ) -> None:
        super().__init__(batch, name)
        self._script = script
        self._random = None if shuffle_seed is None else random.Random(shuffle_seed)

    def step(self) -> list[Expansion]:
        """Answer the next batch of requests."""
        if self._random is not None:
            self._random.shuffle(self._queue)
        return [self._answer(request) for request in self._take()]

    def _answer(self, request: ExpandRequest) -> Expansion:
        if callable(self._script):
            texts = self._script(request)
        else:
            path = "".join(segment.text for segment in request.path)
            if path not in self._script:
                return Expansion(
                    request.id,
                    error=f"{self.name}: the script has no candidates for the path {path!r}",
                )
            texts = self._script[path]
        return Expansion(
            request.id, tuple(Candidate(text) for text in texts[: request.num_candidates])
        )
