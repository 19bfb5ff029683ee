"""A policy that answers from a script: for tests of what is around a policy."""

import random
from collections.abc import Callable, Mapping, Sequence

from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.policy.function import QueuedPolicy

Script = Mapping[str, Sequence[str]] | Callable[[ExpandRequest], Sequence[str]]


class ScriptedPolicy(QueuedPolicy):
    """Answers every request from a script.

    Args:
        script: candidates by the text of the path (its segments joined; "" at the root), or a function of the request. At most
            `num_candidates` of them are given, and fewer if the script has fewer. A path the script lacks gets an error.
        batch: requests answered per step; 0 answers all.
        shuffle_seed: answers in a random order instead of first come, first served.
        name: identity for the run record.
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
        """Answer the next `batch` requests."""
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
