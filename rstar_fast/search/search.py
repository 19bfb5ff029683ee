"""The ask/tell search, which owns the trees and asks the owner of the engines for work."""

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
from rstar_fast.search.answers import Answer, checked
from rstar_fast.search.expansion import TreeTask, grade_finals
from rstar_fast.search.live import LiveTree
from rstar_fast.search.recording import Recording, RequestKey, known_answers
from rstar_fast.search.stopping import natural_end
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
        tree: Tree of the problem.
        task: Coroutine that grows the tree.
        requests: Requests that the coroutine waits for, with consecutive ids.
        kinds: Types of these requests.
        results: Checked answers that were told, each in the place of its request.
        missing: Number of results that were not told yet.
        asked_at: Time at which the wait began, by `time.perf_counter`.
        known: What engines told the tree in a former process.
    """

    tree: LiveTree
    task: TreeTask
    requests: list[Request] = field(default_factory=list)
    kinds: set[type[Request]] = field(default_factory=set)
    results: list[Answer | None] = field(default_factory=list)
    missing: int = 0
    asked_at: float = 0.0
    known: dict[RequestKey, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the problems under way are.

    Attributes:
        num_active: Number of problems that are being searched.
        rollouts_done: Number of their rollouts that have ended. 0 for strategies other than mcts.
        num_rollouts: Number of all their rollouts. 0 for strategies other than mcts.
        furthest: Share of its rollouts that the furthest problem has done, in [0, 1].
    """

    num_active: int = 0
    rollouts_done: int = 0
    num_rollouts: int = 0
    furthest: float = 0.0


class Search:
    """A search of many problems at once, each at its own pace.

    Add problems. Then `ask` for work, have any engines do it in any order, and `tell` each result,
    until the search is `done`. `finished` returns the problems that have ended. The same
    configuration and seed give the same trees, whatever the order and the batching of the results.

    Args:
        config: Configuration of every problem's search.
        recording: Record of what engines tell. Trees go on where it says that they were. None to
            keep none. Whoever drives the search flushes it.

    Attributes:
        held: Whether no further problem is begun for now. May be changed.

    Raises:
        ConfigError: The trees of this configuration need more than 2**31 - 1 nodes in all.
    """

    def __init__(self, config: SearchConfig, recording: Recording | None = None) -> None:
        if config.nodes_per_tree * config.max_active > MAX_NODES:
            raise ConfigError(
                f"max_active={config.max_active} trees of up to {config.nodes_per_tree} nodes each "
                f"need more than the {MAX_NODES} nodes of a forest: lower max_active, rollouts, "
                "max_depth or candidates"
            )
        self.config = config
        self._recording = recording
        self._forest = Forest(config.max_active, config.nodes_per_tree)
        self._ids = itertools.count()
        self._next_id = 0
        self._known: set[str] = set()
        self._waiting: deque[Problem] = deque()
        self._active: dict[str, _Active] = {}
        self._pending: dict[int, _Active] = {}
        self._work = self._new_work()
        self._ended: deque[Tree | Failure] = deque()
        self.held = False

    def add(self, problems: Iterable[Problem]) -> None:
        """Queue problems. At most `config.max_active` are searched at once.

        Raises:
            ProblemError: A problem with this id and copy was added before.
        """
        for problem in problems:
            if problem.key in self._known:
                raise ProblemError(
                    f"problem id {problem.key!r} was added before; "
                    "ids must be unique within a search"
                )
            self._known.add(problem.key)
            self._waiting.append(problem)

    @property
    def done(self) -> bool:
        """Whether every added problem has ended. `finished` may still hold some of them."""
        return not (self._waiting or self._active)

    @property
    def num_active(self) -> int:
        """Number of problems that are being searched."""
        return len(self._active)

    @property
    def num_pending(self) -> int:
        """Number of requests that were asked and whose results were not told yet."""
        return len(self._pending)

    def progress(self) -> Progress:
        """Return how far the problems under way are. May be called from any thread."""
        active = list(self._active.values())
        if self.config.strategy != "mcts":
            return Progress(len(active))
        done = [one.tree.rollouts_done for one in active]
        rollouts = self.config.rollouts
        return Progress(
            len(active), sum(done), len(active) * rollouts, max(done, default=0) / rollouts
        )

    def ask(self) -> Work:
        """Return all requests that have come up since the last call. Each request is asked once."""
        while self._waiting and not self.held and len(self._active) < self.config.max_active:
            self._start(self._waiting.popleft())
        work, self._work = self._work, self._new_work()
        return work

    def tell(self, request_id: int, result: Result) -> None:
        """Tell the result of one request.

        A result that was told before, or whose problem has ended, is ignored.

        Args:
            request_id: Id of a request that `ask` returned.
            result: `Expansion`, `Observation`, `Grade` or `Scores`, as the kind of the request
                wants. A result that carries an error or does not fit its request ends its problem
                as a `Failure`. So does an exception in place of a result.

        Raises:
            SearchError: There was no such request, or the result is of another kind. Nothing has
                changed.
        """
        owner = self._pending.get(request_id)
        if owner is None:
            if 0 <= request_id < self._next_id:
                return
            raise SearchError(
                f"tell: no request {request_id} was ever made; ids up to {self._next_id - 1} were"
            )
        place = request_id - owner.requests[0].id
        request = owner.requests[place]
        expected = RESULT_OF[type(request)]
        if not isinstance(result, expected):
            if isinstance(result, Exception):
                self.fail(owner.tree.problem.key, result)
                return
            raise SearchError(
                f"tell: request {request_id} wants {expected.__name__}, got {type(result).__name__}"
            )
        try:
            answer = checked(request, result)
        except RStarError as error:
            self.fail(owner.tree.problem.key, error)
            return
        del self._pending[request_id]
        owner.results[place] = answer
        if self._recording is not None:
            self._recording.note(owner.tree, request, answer)
        owner.missing -= 1
        if not owner.missing:
            self._account(owner, type(request))
            self._advance(owner)

    def fail(self, problem_id: str, error: BaseException) -> None:
        """End an active problem as a `Failure`.

        Results of its open requests are ignored from now on.
        """
        ended = self._active.pop(problem_id, None)
        if ended is None:
            raise SearchError(f"fail: problem {problem_id!r} is not being searched")
        ended.tree.release()
        for request in ended.requests:
            if self._pending.pop(request.id, None) is not None:
                self._work.dropped.append(request.id)
        self._ended.append(Failure.of(ended.tree.problem, error))

    def drop_older(self, version: int) -> None:
        """End the problems under way that have a step of older weights, each as a `Failure`.

        Args:
            version: Number of the oldest weights with whose steps a tree may go on.
        """
        for key, active in list(self._active.items()):
            oldest = min((node.version for node in active.tree.nodes[1:]), default=version)
            if oldest < version:
                reason = f"dropped: a step is of weights {oldest}, expected {version} or later"
                self.fail(key, SearchError(reason))

    def finished(self) -> list[Tree | Failure]:
        """Return the problems that ended since the last call, in the order in which they ended."""
        ended, self._ended = list(self._ended), deque()
        return ended

    def _start(self, problem: Problem) -> None:
        if self.config.annotate_terminals_with_ground_truth and not problem.answers:
            reason = "annotate_terminals_with_ground_truth is set, and the problem has no answer"
            self._ended.append(Failure(problem, ProblemError.__name__, reason))
            return
        tree = LiveTree(problem, self.config, self._forest, self._ids)
        self._active[problem.key] = active = _Active(tree, self._whole(tree))
        if self._recording is not None:
            known = self._recording.begin(problem)
            active.known = known.answers
            tree.go_on_from(known.timings)
        self._advance(active)

    def _whole(self, tree: LiveTree) -> TreeTask:
        yield from STRATEGIES[self.config.strategy](tree)
        tree.ended = tree.ended or natural_end(tree)
        if tree.problem.answers:
            yield from grade_finals(tree)

    def _advance(self, active: _Active) -> None:
        """Run the coroutine of a problem until it waits for results or ends."""
        problem_id = active.tree.problem.key
        # Free the results before the next wait: the tokens of an expansion take much room.
        results, active.results = active.results or None, []
        try:
            while True:
                wanted = active.task.send(results)
                # Ids were given in the order of the requests, so they are consecutive.
                self._next_id = wanted[-1].id + 1
                # What an engine told before is not asked again.
                some_known = bool(active.known)
                results = known_answers(active.known, wanted)
                kinds = set(map(type, wanted))
                for kind in kinds:
                    active.tree.counts[_COUNT_OF[kind]] += len(_of_kind(wanted, kind, kinds))
                if None in results:
                    break
        except StopIteration:
            del self._active[problem_id]
            self._ended.append(active.tree.finish())
            return
        except RStarError as error:
            self.fail(problem_id, error)
            return
        active.requests, active.results, asked = wanted, results, wanted
        if some_known:
            asked = [one for one, known in zip(wanted, results, strict=True) if known is None]
            kinds = set(map(type, asked))
        active.missing, active.kinds = len(asked), kinds
        active.asked_at = time.perf_counter()
        self._pending.update(dict.fromkeys([request.id for request in asked], active))
        for kind in kinds:
            self._filed[kind] += _of_kind(asked, kind, kinds)

    def _account(self, active: _Active, last: type[Request]) -> None:
        """Count the time of a wait that is over, under the kind of its last request."""
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


def _of_kind(
    requests: list[Request], kind: type[Request], kinds: set[type[Request]]
) -> list[Request]:
    """Return the requests of one kind, of those that there are."""
    if len(kinds) == 1:
        return requests
    return [request for request in requests if type(request) is kind]
