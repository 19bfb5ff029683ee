"""One search under way.

    problems ──feeder──┐   ┌──> lanes: policy, PPM ──┐
                       v   │                         │
    caller <──── thread of the trees <── inbox <─────┤
                           │                         │
                           └──> workers: programs, grades

The thread of the trees waits for nothing but its inbox: whatever arrives is told to the search, and what the search asks for then
goes to the queues at once. No engine waits for another, nor for the caller.
"""

import atexit
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ExecutorError, ProblemError
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Policy
from rstar_fast.ppm.base import Scorer
from rstar_fast.problems import Problem
from rstar_fast.search.activity import Stats
from rstar_fast.search.faults import Faults
from rstar_fast.search.lane import Lane
from rstar_fast.search.models import PolicyModel, ScorerModel
from rstar_fast.search.search import Search
from rstar_fast.search.work import GradeRequest, RequestResult, RunRequest
from rstar_fast.search.workers import Workers
from rstar_fast.tree import Tree
from rstar_fast.verify.base import StepRunner, Verifier

_WAKE = object()
_NO_MORE_PROBLEMS = object()


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """Comes behind the last problem: the session's threads have ended, early if there was an error."""

    error: BaseException | None


class SearchSession:
    """Searches problems in threads of its own, and hands over each as it ends.

    Of `config.max_active` places a problem takes one when it is drawn from the iterable, and gives it back when the caller claims
    it: that bounds what is in memory, however long the iterable and however slow the caller.

    Args:
        config: how to search.
        policy: used by nobody else meanwhile, as are the others.
        scorer: where the config uses one.
        runner: runs steps.
        verifier: grades answers.
        problems: drawn from in a thread of its own, so that it may wait for more to come.
        deliver: is given every problem that ended, then an `SearchEnded`; called in the session's thread.
        stats: where to count.
    """

    def __init__(
        self,
        config: SearchConfig,
        policy: Policy,
        scorer: Scorer | None,
        runner: StepRunner,
        verifier: Verifier,
        problems: Iterable[Problem],
        deliver: Callable[[Tree | Failure | SearchEnded], None],
        stats: Stats,
    ) -> None:
        self._search = Search(config)
        self._problems = problems
        self._deliver = deliver
        self._stats = stats
        self._places = threading.Semaphore(config.max_active)
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stopped = False
        self._reason: BaseException | None = None
        self._fed = False
        resources = stats.resources
        self._runs: Workers[RunRequest] = Workers(
            lambda run: runner.submit(run.steps),
            self._inbox,
            resources["execution"],
            Faults("the runner", ExecutorError),
        )
        self._grades: Workers[GradeRequest] = Workers(
            lambda grade: verifier.submit(grade.problem, grade.answer),
            self._inbox,
            resources["grading"],
            Faults("the verifier", ExecutorError),
        )
        self._policy = Lane(PolicyModel(policy, resources["policy"]), self._inbox.put)
        self._scorer = (
            None
            if scorer is None
            else Lane(ScorerModel(scorer, resources["scoring"]), self._inbox.put)
        )
        self._lanes = [lane for lane in (self._policy, self._scorer) if lane is not None]
        threading.Thread(target=self._feed, name="problems of a search", daemon=True).start()
        self._thread = threading.Thread(target=self._run, name="trees of a search", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def claim(self) -> None:
        """The caller took one more of what was delivered."""
        self._places.release()

    def stop(self, reason: BaseException | None = None) -> None:
        """Begin to end early, for the reason that the `SearchEnded` is to carry."""
        if not self._stopped:
            self._reason, self._stopped = reason, True
            self._inbox.put(_WAKE)

    def close(self) -> None:
        """Stop, and wait until no engine works for this search any more: a call of a model that is under way is not cut short."""
        self.stop()
        atexit.unregister(self.close)
        # A forgotten iterator may be collected, and so closed, in any thread.
        if threading.current_thread() not in (self._thread, *(lane.thread for lane in self._lanes)):
            self._thread.join()

    def _feed(self) -> None:
        try:
            problems = iter(self._problems)
            while self._places.acquire() and not self._stopped:
                problem = next(problems, _NO_MORE_PROBLEMS)
                if problem is not _NO_MORE_PROBLEMS and not isinstance(problem, Problem):
                    raise ProblemError(f"problems: expected Problem, got {type(problem).__name__}")
                self._inbox.put(problem)
                if problem is _NO_MORE_PROBLEMS:
                    return
        except BaseException as error:
            self._inbox.put(error)

    def _run(self) -> None:
        error: BaseException | None = None
        started, before = time.perf_counter(), self._stats.wall_s
        try:
            while not self._stopped and not (self._fed and self._search.done):
                messages = [self._inbox.get()]
                messages += [self._inbox.get() for _ in range(self._inbox.qsize())]
                woken = time.perf_counter()
                num_answers = self._take_in(messages)
                self._hand_out()
                self._stats.resources["tree"].called(woken, num_answers)
                self._stats.wall_s = before + time.perf_counter() - started
        except BaseException as caught:
            error = caught
        self._wind_up()
        self._stats.wall_s = before + time.perf_counter() - started
        self._deliver(SearchEnded(error or self._reason))

    def _take_in(self, messages: list[Any]) -> int:
        """Tell the search everything that arrived; how many answers."""
        futures: list[Future[Any]] = []
        answers: list[RequestResult] = []
        problems: list[Problem] = []
        for message in messages:
            if isinstance(message, Future):
                futures.append(message)
            elif isinstance(message, tuple):
                lane, found = message
                lane.activity.opened(-len(found))
                answers += found
            elif isinstance(message, Problem):
                problems.append(message)
            elif isinstance(message, BaseException):
                raise message
            elif message is _NO_MORE_PROBLEMS:
                self._fed = True
        if futures:
            answers += self._runs.take(futures)
            answers += self._grades.take(futures)
        for request_id, result in answers:
            self._search.tell(request_id, result)
        self._search.add(problems)
        return len(answers)

    def _hand_out(self) -> None:
        """Give every queue what the search asks for, and the caller what has ended."""
        work = self._search.ask()
        self._policy.submit(work.expand)
        if self._scorer is not None:
            self._scorer.submit(work.score)
        self._runs.submit(work.run)
        self._grades.submit(work.grade)
        for ended in self._search.finished():
            self._deliver(ended)

    def _wind_up(self) -> None:
        """Nothing is begun any more; then wait for the models' last calls, and leave every clock at rest."""
        self._stopped = True
        self._places.release()
        for lane in self._lanes:
            lane.stop()
        self._runs.cancel()
        self._grades.cancel()
        for lane in self._lanes:
            lane.thread.join()
        for activity in self._stats.resources.values():
            activity.opened(-activity.open)
