"""The ask/tell search: it owns trees and asks for work; whoever owns the engines does it and tells the results."""

import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rstar_fast._core import Forest
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, ProblemError, RStarError, SearchError
from rstar_fast.problems import Problem
from rstar_fast.search.expansion import Fork, Steps, grade_finals
from rstar_fast.search.live import LiveTree
from rstar_fast.search.strategies import STRATEGIES
from rstar_fast.search.work import KIND_OF, RESULT_OF, Failure, Request, Result, Work
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Observation

MAX_NODES = 2**31 - 1


@dataclass(slots=True)
class _Task:
    """A coroutine of one tree: what it waits for, and who waits for it."""

    steps: Steps
    tree: LiveTree
    parent: "_Task | None" = None
    results: list[Result | None] | None = None
    waiting: int = 0


@dataclass(slots=True)
class _Pending:
    request: Request
    task: _Task
    place: int
    asked_at: float


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
        self._active: dict[str, LiveTree] = {}
        self._pending: dict[int, _Pending] = {}
        self._work = Work()
        self._ended: deque[Tree | Failure] = deque()

    def add(self, problems: Iterable[Problem]) -> None:
        """Queue problems; at most `config.max_active` are searched at once.

        Raises:
            ProblemError: an id was added before.
        """
        for problem in problems:
            if problem.id in self._known:
                raise ProblemError(f"problem id {problem.id!r} was added before; ids must be unique within a search")
            self._known.add(problem.id)
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
        work, self._work = self._work, Work()
        return work

    def tell(self, request_id: int, result: Result) -> None:
        """Give the result of one request.

        A result that was told already, or whose problem has ended, is ignored.

        Args:
            request_id: of a request that `ask` returned.
            result: `Expansion`, `Observation`, `Grade` or `Scores`, as the request's kind wants. One that carries an error, or does
                not fit its request, ends its problem as a `Failure`.

        Raises:
            SearchError: no such request was ever made, or the result is of another kind; nothing has changed.
        """
        pending = self._pending.get(request_id)
        if pending is None:
            if 0 <= request_id < self._next_id:
                return
            raise SearchError(f"tell: no request {request_id} was ever made; ids up to {self._next_id - 1} were")
        expected = RESULT_OF[type(pending.request)]
        if not isinstance(result, expected):
            raise SearchError(f"tell: request {request_id} wants {expected.__name__}, got {type(result).__name__}")
        del self._pending[request_id]
        task = pending.task
        kind = KIND_OF[type(pending.request)]
        task.tree.timings[f"{kind}_wait"] += time.perf_counter() - pending.asked_at
        task.tree.counts[f"{kind}_requests"] += 1
        if isinstance(result, Observation):
            task.tree.timings["program"] += result.wall_s
        assert task.results is not None
        task.results[pending.place] = result
        task.waiting -= 1
        if task.waiting == 0:
            self._advance(task)

    def fail(self, problem_id: str, error: BaseException) -> None:
        """End an active problem as a `Failure`; answers to its open requests are ignored from now on."""
        tree = self._active.pop(problem_id, None)
        if tree is None:
            raise SearchError(f"fail: problem {problem_id!r} is not being searched")
        tree.release()
        for request_id in [i for i, pending in self._pending.items() if pending.task.tree is tree]:
            del self._pending[request_id]
        self._ended.append(Failure(tree.problem, str(error), type(error).__name__))

    def finished(self) -> list[Tree | Failure]:
        """Problems that ended since the last call, in order of ending."""
        ended, self._ended = list(self._ended), deque()
        return ended

    def _start(self, problem: Problem) -> None:
        if self.config.annotate_terminals_with_ground_truth and not problem.answers:
            reason = "annotate_terminals_with_ground_truth is set, and the problem has no answer"
            self._ended.append(Failure(problem, reason, ProblemError.__name__))
            return
        tree = LiveTree(problem, self.config, self._forest, self._ids)
        self._active[problem.id] = tree
        self._advance(_Task(self._whole(tree), tree))

    def _whole(self, tree: LiveTree) -> Steps:
        yield from STRATEGIES[self.config.strategy](tree)
        if tree.problem.answers:
            yield from grade_finals(tree)

    def _advance(self, task: _Task) -> None:
        """Run a task until it waits; one that ends wakes the task that waits for it."""
        try:
            wanted = task.steps.send(task.results)
        except StopIteration:
            self._end(task)
            return
        except RStarError as error:
            self.fail(task.tree.problem.id, error)
            return
        if isinstance(wanted, Fork):
            task.results, task.waiting = [], len(wanted.branches)
            for branch in wanted.branches:
                if self._active.get(task.tree.problem.id) is task.tree:
                    self._advance(_Task(branch, task.tree, parent=task))
        else:
            task.results, task.waiting = [None] * len(wanted), len(wanted)
            now = time.perf_counter()
            for place, request in enumerate(wanted):
                self._pending[request.id] = _Pending(request, task, place, now)
                self._next_id = max(self._next_id, request.id + 1)
                self._work.append(request)

    def _end(self, task: _Task) -> None:
        if task.parent is None:
            del self._active[task.tree.problem.id]
            self._ended.append(task.tree.finish())
            return
        task.parent.waiting -= 1
        if task.parent.waiting == 0:
            self._advance(task.parent)
