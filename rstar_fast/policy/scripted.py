"""A policy that answers from a script: for tests of what is around a policy."""

import random
from collections.abc import Callable, Mapping, Sequence

from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats

Script = Mapping[str, Sequence[str]] | Callable[[ExpandRequest], Sequence[str]]


class ScriptedPolicy:
    """Answers every request from a script.

    Args:
        script: candidates by the text of the path (its segments joined; "" at the root), or a function of the request. At most
            `num_candidates` of them are given, and fewer if the script has fewer. A path the script lacks gets an error.
        batch: requests answered per step; 0 answers all.
        shuffle_seed: answers in a random order instead of first come, first served.
        name: identity for the run record.
    """

    def __init__(self, script: Script, batch: int = 0, shuffle_seed: int | None = None, name: str = "scripted") -> None:
        self.name = name
        self.stats = PolicyStats()
        self._script = script
        self._batch = batch
        self._random = None if shuffle_seed is None else random.Random(shuffle_seed)
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

    def step(self) -> list[Expansion]:
        """Answer the next `batch` requests."""
        if self._random is not None:
            self._random.shuffle(self._queue)
        count = self._batch or len(self._queue)
        now, self._queue = self._queue[:count], self._queue[count:]
        return [self._answer(request) for request in now]

    def _answer(self, request: ExpandRequest) -> Expansion:
        if callable(self._script):
            texts = self._script(request)
        else:
            path = "".join(segment.text for segment in request.path)
            if path not in self._script:
                return Expansion(request.id, error=f"{self.name}: the script has no candidates for the path {path!r}")
            texts = self._script[path]
        return Expansion(request.id, tuple(Candidate(text) for text in texts[: request.num_candidates]))
