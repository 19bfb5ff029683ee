"""The ask/tell search: it owns trees and asks for work; whoever owns the engines does it and tells the results."""

import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rstar_fast._core import Forest
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, ProblemError, RStarError, SearchError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search.expansion import TreeTask, grade_finals
from rstar_fast.search.live import LiveTree
from rstar_fast.search.strategies import STRATEGIES
from rstar_fast.search.work import KIND_OF, RESULT_OF, Request, Result, RunRequest, Work
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Observation

MAX_NODES = 2**31 - 1

_WAIT_OF = {kind: f"{name}_wait" for kind, name in KIND_OF.items()}
_COUNT_OF = {kind: f"{name}_requests" for kind, name in KIND_OF.items()}


@dataclass(slots=True)
class _Active:
    """A problem under way.

    Attributes:
        tree: its tree.
        steps: the coroutine that grows it.
        requests: what that waits for, the ids one after another.
        kinds: of the requests.
        results: those that were told, in the places of their requests.
        missing: how many were not.
        asked_at: when the wait began.
    """

    tree: LiveTree
    steps: TreeTask
    requests: list[Request] = field(default_factory=list)
    kinds: set[type[Request]] = field(default_factory=set)
    results: list[Any] = field(default_factory=list)
    missing: int = 0
    asked_at: float = 0.0


class Search:
    """Searches many problems at once, each at its own pace.

    Add problems; then `ask` for work, have it done by any engines in any order, and `tell` each result, until `done`. Ended
    problems are taken by `finished`. The same config and seed give the same trees whatever the order and batching of the answers.

    Args:
        config: how every problem is searched.

    Raises:
        ConfigError: trees of this config need more than 2**31 - 1 nodes in all.
    """

    def __init__(self, config: SearchConfig) -> None:
        if config.nodes_per_tree * config.max_active > MAX_NODES:
            raise ConfigError(
                f"max_active={config.max_active} trees of up to {config.nodes_per_tree} nodes each pass the {MAX_NODES} nodes "
                "of a forest: lower max_active, rollouts, max_depth or candidates"
            )
        self.config = config
        self._forest = Forest(config.max_active, config.nodes_per_tree)
        self._ids = itertools.count()
        self._next_id = 0
        self._known: set[str] = set()
        self._waiting: deque[Problem] = deque()
        self._active: dict[str, _Active] = {}
        self._pending: dict[int, _Active] = {}
        self._work = self._new_work()
        self._ended: deque[Tree | Failure] = deque()

    def add(self, problems: Iterable[Problem]) -> None:
        """Queue problems; at most `config.max_active` are searched at once.

        Raises:
            ProblemError: an id was added before.
        """
        for problem in problems:
            if problem.key in self._known:
                raise ProblemError(
                    f"problem id {problem.key!r} was added before; ids must be unique within a search"
                )
            self._known.add(problem.key)
            self._waiting.append(problem)

    @property
    def done(self) -> bool:
        """Whether every problem added has ended; `finished` may still hold some."""
        return not (self._waiting or self._active)

    @property
    def num_active(self) -> int:
        """Problems being searched now."""
        return len(self._active)

    @property
    def num_pending(self) -> int:
        """Requests asked for and not yet told."""
        return len(self._pending)

    def ask(self) -> Work:
        """All requests that have come up since the last call; each is asked once."""
        while self._waiting and len(self._active) < self.config.max_active:
            self._start(self._waiting.popleft())
        work, self._work = self._work, self._new_work()
        return work

    def tell(self, request_id: int, result: Result) -> None:
        """Give the result of one request.

        A result that was told already, or whose problem has ended, is ignored.

        Args:
            request_id: of a request that `ask` returned.
            result: `Expansion`, `Observation`, `Grade` or `Scores`, as the request's kind wants. One that carries an error or does
                not fit its request, and an exception in place of any of these, ends its problem as a `Failure`.

        Raises:
            SearchError: no such request was ever made, or the result is of another kind; nothing has changed.
        """
        owner = self._pending.get(request_id)
        if owner is None:
            if 0 <= request_id < self._next_id:
                return
            raise SearchError(
                f"tell: no request {request_id} was ever made; ids up to {self._next_id - 1} were"
            )
        place = request_id - owner.requests[0].id
        expected = RESULT_OF[type(owner.requests[place])]
        if not isinstance(result, expected):
            if isinstance(result, Exception):
                self.fail(owner.tree.problem.key, result)
                return
            raise SearchError(
                f"tell: request {request_id} wants {expected.__name__}, got {type(result).__name__}"
            )
        del self._pending[request_id]
        owner.results[place] = result
        owner.missing -= 1
        if not owner.missing:
            self._account(owner, type(owner.requests[place]))
            self._advance(owner)

    def fail(self, problem_id: str, error: BaseException) -> None:
        """End an active problem as a `Failure`; answers to its open requests are ignored from now on."""
        ended = self._active.pop(problem_id, None)
        if ended is None:
            raise SearchError(f"fail: problem {problem_id!r} is not being searched")
        ended.tree.release()
        for request in ended.requests:
            self._pending.pop(request.id, None)
        self._ended.append(Failure.of(ended.tree.problem, error))

    def finished(self) -> list[Tree | Failure]:
        """Problems that ended since the last call, in order of ending."""
        ended, self._ended = list(self._ended), deque()
        return ended

    def _start(self, problem: Problem) -> None:
        if self.config.annotate_terminals_with_ground_truth and not problem.answers:
            reason = "annotate_terminals_with_ground_truth is set, and the problem has no answer"
            self._ended.append(Failure(problem, ProblemError.__name__, reason))
            return
        tree = LiveTree(problem, self.config, self._forest, self._ids)
        self._active[problem.key] = active = _Active(tree, self._whole(tree))
        self._advance(active)

    def _whole(self, tree: LiveTree) -> TreeTask:
        yield from STRATEGIES[self.config.strategy](tree)
        if tree.problem.answers:
            yield from grade_finals(tree)

    def _advance(self, active: _Active) -> None:
        """Run a problem's coroutine until it waits for answers or ends."""
        problem_id = active.tree.problem.key
        # Nothing else keeps the results while the next ones are waited for: an expansion's tokens take much room.
        results, active.results = active.results or None, []
        try:
            wanted = active.steps.send(results)
        except StopIteration:
            del self._active[problem_id]
            self._ended.append(active.tree.finish())
            return
        except RStarError as error:
            self.fail(problem_id, error)
            return
        active.requests, active.results, active.missing = wanted, [None] * len(wanted), len(wanted)
        active.kinds = kinds = set(map(type, wanted))
        active.asked_at = time.perf_counter()
        # Ids were given in the order of the requests: they are consecutive.
        first, self._next_id = wanted[0].id, wanted[-1].id + 1
        self._pending.update(dict.fromkeys(range(first, self._next_id), active))
        for kind in kinds:
            of_kind = (
                wanted
                if len(kinds) == 1
                else [request for request in wanted if type(request) is kind]
            )
            self._filed[kind] += of_kind
            active.tree.counts[_COUNT_OF[kind]] += len(of_kind)

    def _account(self, active: _Active, last: type[Request]) -> None:
        """Count the time of a wait that is over for the kind that was answered `last`."""
        timings = active.tree.timings
        timings[_WAIT_OF[last]] += time.perf_counter() - active.asked_at
        if RunRequest in active.kinds:
            timings["program"] += sum(
                [result.wall_s for result in active.results if type(result) is Observation]
            )

    def _new_work(self) -> Work:
        work = Work()
        self._filed: dict[type[Request], list[Any]] = {
            kind: work.of(name) for kind, name in KIND_OF.items()
        }
        return work
