"""The times of a search's requests, put together to expansions and problems."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_fast.failure import Failure
from rstar_fast.policy.base import ExpandRequest, Expansion
from rstar_fast.problems import Problem
from rstar_fast.search.activity import RESOURCES
from rstar_fast.search.work import (
    KIND_OF,
    GradeRequest,
    Request,
    RequestResult,
    RunRequest,
    Work,
)
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Observation

_RESOURCE = dict(zip(("expand", "score", "run", "grade"), RESOURCES[:4], strict=True))


@dataclass(slots=True)
class RequestTime:
    """One request of an expansion.

    Attributes:
        resource: Name of the resource that answers it.
        node: Id of the node that it names.
        asked_s: Time at which it was handed over, by `time.perf_counter`.
        told_s: Time at which its result arrived. 0 if none did.
        num_tokens: Number of tokens that were written.
        longest_tokens: Length of the longest candidate, tokens.
        program_s: Duration of the program, seconds.
        num_rows: Number of partial solutions that were scored.
    """

    resource: str
    node: int
    asked_s: float
    told_s: float = 0.0
    num_tokens: int = 0
    longest_tokens: int = 0
    program_s: float = 0.0
    num_rows: int = 0


@dataclass(slots=True)
class ExpansionTime:
    """One expansion: its candidates, their programs and their scores.

    Attributes:
        problem: Key of the problem.
        requests: Its requests, that for candidates first. Grades are left out: some are asked for
            at the end of the tree only.
    """

    problem: str
    requests: list[RequestTime]

    @property
    def asked_s(self) -> float:
        """Time at which the candidates were asked for."""
        return self.requests[0].asked_s

    @property
    def told_s(self) -> float:
        """Time at which the last result arrived."""
        return max(one.told_s for one in self.requests)

    def of(self, resource: str) -> list[RequestTime]:
        """Return the requests to one resource."""
        return [one for one in self.requests if one.resource == resource]


class RequestTimes:
    """An `Observer` that keeps the times of all requests. Threads may share it.

    Attributes:
        expansions: Expansions, in the order in which they began.
        problems: Time at which each problem's search began and ended.
        num_failures: Number of problems that failed.
        idle_s: Seconds in which a resource had no request, keyed by its name and by that of the
            resource that was waited for. "tree" stands for the thread of the trees.
        last_failure: Reason of the last failure. "" without one.
        open_s: Open requests of each resource, integrated over time.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.expansions: list[ExpansionTime] = []
        self.problems: list[tuple[float, float]] = []
        self.num_failures = 0
        self.last_failure = ""
        self.idle_s = {name: dict.fromkeys(RESOURCES, 0.0) for name in RESOURCES if name != "tree"}
        self.open_s = dict.fromkeys(self.idle_s, 0.0)
        self._lock = threading.Lock()
        self._open: dict[int, RequestTime] = {}
        self._num_open = dict.fromkeys(self.idle_s, 0)
        self._began_s: dict[str, float] = {}
        self._newest: dict[str, dict[int, ExpansionTime]] = {}
        self._changed_s = time.perf_counter()

    def began(self, problems: Sequence[Problem]) -> None:
        """See `Observer`."""
        now = time.perf_counter()
        for problem in problems:
            self._began_s[problem.key], self._newest[problem.key] = now, {}

    def asked(self, work: Work) -> None:
        """See `Observer`."""
        with self._lock:
            now = self._advance()
            for kind in KIND_OF.values():
                for request in work.of(kind):
                    self._begin(_RESOURCE[kind], request, now)
            for request_id in work.dropped:
                self._end(request_id)

    def told(self, results: Sequence[RequestResult]) -> None:
        """See `Observer`."""
        with self._lock:
            now = self._advance()
            for request_id, result in results:
                one = self._end(request_id)
                if one is None:
                    continue
                one.told_s = now
                if isinstance(result, Expansion):
                    lengths = [len(candidate.token_ids) for candidate in result.candidates]
                    one.num_tokens, one.longest_tokens = sum(lengths), max(lengths, default=0)
                elif isinstance(result, Observation):
                    one.program_s = result.wall_s

    def ended(self, ended: Tree | Failure) -> None:
        """See `Observer`."""
        began_s = self._began_s.pop(ended.problem.key)
        del self._newest[ended.problem.key]
        with self._lock:
            if isinstance(ended, Failure):
                self.num_failures += 1
                self.last_failure = ended.reason
            else:
                self.problems.append((began_s, time.perf_counter()))

    def finished(self, begin_s: float, end_s: float) -> list[ExpansionTime]:
        """Return the expansions whose last result arrived between two times."""
        with self._lock:
            done = [one for one in self.expansions if all(part.told_s for part in one.requests)]
        return [one for one in done if begin_s <= one.told_s <= end_s]

    def totals(self) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Return copies of `idle_s` and `open_s` up to now."""
        with self._lock:
            self._advance()
            return {name: dict(one) for name, one in self.idle_s.items()}, dict(self.open_s)

    def _begin(self, resource: str, request: Request, now: float) -> None:
        rows = len(getattr(request, "children", ()))
        one = RequestTime(resource, request.node, now, num_rows=rows)
        self._open[request.id] = one
        self._num_open[resource] += 1
        if isinstance(request, GradeRequest):
            return
        newest = self._newest[request.problem_id]
        if isinstance(request, ExpandRequest):
            newest[request.node] = ExpansionTime(request.problem_id, [one])
            self.expansions.append(newest[request.node])
        else:
            parent = request.parent if isinstance(request, RunRequest) else request.node
            newest[parent].requests.append(one)

    def _end(self, request_id: int) -> RequestTime | None:
        one = self._open.pop(request_id, None)
        if one is not None:
            self._num_open[one.resource] -= 1
        return one

    def _advance(self) -> float:
        """Count the time since the last change, in which the same requests were open."""
        now = time.perf_counter()
        took, self._changed_s = now - self._changed_s, now
        waited_for = [name for name, count in self._num_open.items() if count] or ["tree"]
        for name, count in self._num_open.items():
            self.open_s[name] += took * count
            for other in waited_for if not count else ():
                self.idle_s[name][other] += took / len(waited_for)
        return now
