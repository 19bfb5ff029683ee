"""The models of a search behind their queues: what is handed to them when, and what happens when they fail."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from rstar_fast.errors import PolicyError, ScoreError, SearchError
from rstar_fast.policy.base import ExpandRequest, Expansion, Policy
from rstar_fast.ppm.base import Scorer, ScoreRequest, Scores
from rstar_fast.search.activity import Activity
from rstar_fast.search.faults import Faults
from rstar_fast.search.work import RequestResult

SCORE_BATCH = 64
"""Requests, each a set of siblings, that are scored in one call at most."""

R = TypeVar("R", ExpandRequest, ScoreRequest)
S = TypeVar("S", Expansion, Scores)


class Model(ABC, Generic[R, S]):
    """A model and the requests that wait for it. Used by one thread.

    Requests that were at the model when it raised are tried again in halves until each one that fails has failed alone; new ones
    wait meanwhile. So a request that breaks the model costs its own problem only, and about 2 log2(n) calls.
    """

    def __init__(self, activity: Activity, faults: Faults) -> None:
        self.activity = activity
        self._faults = faults
        self._waiting: deque[R] = deque()
        self._suspects: list[list[R]] = []
        self._inside: dict[int, R] = {}
        self._trying = 0  # how many suspects were handed over as the group that is inside; 0: it is not a group of suspects

    @property
    def num_open(self) -> int:
        """Requests added and not answered."""
        return len(self._waiting) + len(self._inside) + sum(map(len, self._suspects))

    def add(self, requests: Sequence[R]) -> None:
        """Queue requests."""
        self._waiting.extend(requests)

    def advance(self) -> list[RequestResult]:
        """One call of the model, with what is next handed over; the answers that are ready."""
        started = time.perf_counter()
        answers: list[RequestResult] = []
        try:
            done = self._call(self._hand_over())
        except Exception as error:
            answers += self._broke(error)
        else:
            for one in done:
                if self._inside.pop(one.request_id, None) is None:
                    raise SearchError(
                        f"{self._faults.engine} answered request {one.request_id}, which is not open"
                    )
                answers.append((one.request_id, one))
            if answers:
                self._faults.in_a_row = 0
            if self._inside and self._idle:
                answers += self._broke(
                    SearchError(
                        f"nothing is pending, and {len(self._inside)} requests were not answered"
                    )
                )
        self.activity.called(started, len(answers))
        return answers

    @abstractmethod
    def cancel(self) -> None:
        """Let the model forget everything."""

    @abstractmethod
    def _call(self, new: list[R]) -> Sequence[S]:
        """Give the model new requests; what it has done."""

    @property
    @abstractmethod
    def _idle(self) -> bool:
        """Whether the model would not go on with anything."""

    @property
    @abstractmethod
    def _room(self) -> int:
        """How many requests may be handed over now."""

    def _hand_over(self) -> list[R]:
        """The next requests, taken off the queue. A group of suspects goes by itself."""
        if not self._inside:
            self._trying = len(self._suspects[-1]) if self._suspects else 0
            new = self._suspects.pop() if self._suspects else self._take()
        else:
            new = [] if self._trying else self._take()
        self._inside.update((request.id, request) for request in new)
        return new

    def _take(self) -> list[R]:
        return [self._waiting.popleft() for _ in range(min(self._room, len(self._waiting)))]

    def _broke(self, error: Exception) -> list[RequestResult]:
        """Everything inside is suspect; what was tried alone has failed."""
        self.cancel()
        group = list(self._inside.values())
        self._inside.clear()
        if self._trying == 1:
            return [(group[0].id, self._faults.failed(error))]
        half = (len(group) + 1) // 2
        self._suspects += [part for part in (group[half:], group[:half]) if part]
        return []


class PolicyModel(Model[ExpandRequest, Expansion]):
    """The policy: takes new requests while it works on others."""

    def __init__(self, policy: Policy, activity: Activity) -> None:
        """Drive `policy`, which has nothing pending."""
        super().__init__(activity, Faults("the policy", PolicyError))
        self._policy = policy

    def cancel(self) -> None:
        """See `Model`."""
        self._policy.cancel()

    def _call(self, new: list[ExpandRequest]) -> Sequence[Expansion]:
        if new:
            self._policy.add(new)
        return self._policy.step()

    @property
    def _idle(self) -> bool:
        return not self._policy.pending

    @property
    def _room(self) -> int:
        return len(self._waiting)


class ScorerModel(Model[ScoreRequest, Scores]):
    """The PPM: answers a batch of requests in one call."""

    def __init__(self, scorer: Scorer, activity: Activity) -> None:
        """Drive `scorer`."""
        super().__init__(activity, Faults("the PPM", ScoreError))
        self._scorer = scorer

    def cancel(self) -> None:
        """See `Model`: a scorer remembers no request."""

    def _call(self, new: list[ScoreRequest]) -> Sequence[Scores]:
        return self._scorer.score(new)

    @property
    def _idle(self) -> bool:
        return True

    @property
    def _room(self) -> int:
        return SCORE_BATCH
