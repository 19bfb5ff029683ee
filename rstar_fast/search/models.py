"""The models of a search, with their queues and what happens when they fail."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from rstar_fast.errors import PolicyError, ScoreError, SearchError
from rstar_fast.policy.base import ExpandRequest, Expansion, Policy
from rstar_fast.ppm.base import Scorer, ScoreRequest, Scores
from rstar_fast.search.activity import Activity
from rstar_fast.search.faults import Faults
from rstar_fast.search.work import RequestResult

SCORE_BATCH = 64
"""Number of requests, each a set of siblings, that are scored in one call at most."""

R = TypeVar("R", ExpandRequest, ScoreRequest)
S = TypeVar("S", Expansion, Scores)


class Model(ABC, Generic[R, S]):
    """A model and the requests that wait for it. One thread uses it.

    When the model raises, or gives what is no answer, the requests that it held are suspects. They
    are tried again in halves, until each request that fails has failed alone, and new requests wait
    meanwhile. A request that breaks the model thus costs its own problem only, and about 2 log2(n)
    calls.

    Attributes:
        activity: Counts of the model's work.
    """

    def __init__(self, activity: Activity, faults: Faults, answer_type: type[S]) -> None:
        self.activity = activity
        self._answer_type: type[S] = answer_type
        self._faults = faults
        self._waiting: deque[R] = deque()
        self._suspects: list[list[R]] = []
        self._inside: dict[int, R] = {}
        # Number of suspects in the group that the model holds. 0 if it holds no group of suspects.
        self._trying = 0

    @property
    def num_open(self) -> int:
        """Number of requests that were added and are not answered."""
        return len(self._waiting) + len(self._inside) + sum(map(len, self._suspects))

    def add(self, requests: Sequence[R]) -> None:
        """Queue requests."""
        self._waiting.extend(requests)

    def advance(self) -> list[RequestResult]:
        """Hand over the next requests, call the model once, and return the results."""
        started = time.perf_counter()
        results: list[RequestResult] = []
        try:
            results += self._matched(self._call(self._hand_over()))
            if results:
                self._faults.in_a_row = 0
            if self._inside and self._idle:
                raise SearchError(
                    f"nothing is pending, and {len(self._inside)} requests were not answered"
                )
        except Exception as error:
            results += self._broke(error)
        self.activity.called(started, len(results))
        return results

    def _matched(self, finished: Any) -> list[RequestResult]:
        """Return what a call has finished, by request, and forget these requests.

        Raises:
            SearchError: It is no list of answers to open requests. All requests stay open.
        """
        found: dict[int, S] = {}
        if not isinstance(finished, Sequence):
            raise SearchError(f"expected a list of answers, got {type(finished).__name__}")
        for one in finished:
            if not isinstance(one, self._answer_type):
                raise SearchError(
                    f"expected {self._answer_type.__name__}, got {type(one).__name__}"
                )
            request_id = one.request_id
            if (
                not isinstance(request_id, int)
                or request_id in found
                or request_id not in self._inside
            ):
                raise SearchError(f"request {request_id!r} was answered, which is not open")
            found[request_id] = one
        for request_id in found:
            del self._inside[request_id]
        return list(found.items())

    @abstractmethod
    def cancel(self) -> None:
        """Make the model forget its requests."""

    @abstractmethod
    def _call(self, new: list[R]) -> Sequence[S]:
        """Give the model new requests, and return what it has finished."""

    @property
    @abstractmethod
    def _idle(self) -> bool:
        """Whether the model has nothing left to go on with."""

    @property
    @abstractmethod
    def _room(self) -> int:
        """Number of requests that may be handed over now."""

    def _hand_over(self) -> list[R]:
        """Take the next requests off the queue. A group of suspects goes alone."""
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
        """Make suspects of all requests that the model held.

        One that was tried alone has failed.
        """
        self.cancel()
        group = list(self._inside.values())
        self._inside.clear()
        if self._trying == 1:
            return [(group[0].id, self._faults.failed(error))]
        half = (len(group) + 1) // 2
        self._suspects += [part for part in (group[half:], group[:half]) if part]
        return []


class PolicyModel(Model[ExpandRequest, Expansion]):
    """The policy, which takes new requests while it works on others."""

    def __init__(self, policy: Policy, activity: Activity) -> None:
        """Drive a policy that has nothing pending."""
        super().__init__(activity, Faults("the policy", PolicyError), Expansion)
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
    """The PPM, which answers a batch of requests in one call."""

    def __init__(self, scorer: Scorer, activity: Activity) -> None:
        """Drive a scorer."""
        super().__init__(activity, Faults("the PPM", ScoreError), Scores)
        self._scorer = scorer

    def cancel(self) -> None:
        """See `Model`. A scorer remembers no request."""

    def _call(self, new: list[ScoreRequest]) -> Sequence[Scores]:
        return self._scorer.score(new)

    @property
    def _idle(self) -> bool:
        return True

    @property
    def _room(self) -> int:
        return SCORE_BATCH
