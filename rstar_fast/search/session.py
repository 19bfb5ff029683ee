"""One search under way.

    problems ──feeder──┐   ┌──> lanes: policy, PPM in this process ──┐
                       v   │                                         │
    caller <──── thread of the trees <────────── inbox <─────────────┤
                           │                                         │
                           └──> futures: programs, grades, other policies and PPMs

The thread of the trees waits for nothing but its inbox. It tells the search whatever arrives, and
hands what the search asks for to the queues at once. No engine waits for another engine or for the
caller.
"""

import atexit
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ExecutorError, PolicyError, RStarError, ScoreError
from rstar_fast.policy.base import AsyncPolicy, ExpandRequest, Policy
from rstar_fast.ppm.base import AsyncScorer, Scorer, ScoreRequest
from rstar_fast.problems import Problem
from rstar_fast.remote import EventLoop
from rstar_fast.search.activity import Stats
from rstar_fast.search.faults import Faults
from rstar_fast.search.feeder import Feeder
from rstar_fast.search.lane import Lane
from rstar_fast.search.messages import (
    Delivery,
    FutureEnded,
    LaneAnswered,
    Message,
    PolicyUpdated,
    ProblemDrawn,
    ProblemsExhausted,
    SearchEnded,
    StopAsked,
    ThreadFailed,
    WeightUpdate,
)
from rstar_fast.search.models import PolicyModel, ScorerModel
from rstar_fast.search.observing import Observer
from rstar_fast.search.recording import Recording
from rstar_fast.search.search import Progress, Search
from rstar_fast.search.work import GradeRequest, RequestResult, RunRequest
from rstar_fast.search.workers import Workers, as_future
from rstar_fast.verify.base import StepRunner, Verifier

Q = TypeVar("Q")
A = TypeVar("A")


class SearchSession:
    """Searches problems in threads of its own, and delivers each problem as it ends.

    There are `config.max_active` places. A problem takes a place when it is drawn from the
    iterable, and gives it back when the caller claims the result. That bounds the memory of a
    search, however long the iterable is and however slow the caller.

    Args:
        config: Configuration of every problem's search.
        policy: Policy. Nobody else may use it or the other engines meanwhile.
        scorer: PPM. None where the configuration uses no scores.
        runner: Runner of the steps.
        verifier: Verifier of the answers.
        problems: Problems, drawn in a thread of its own, so that the iterable may wait for more to
            come.
        deliver: Function that takes every tree and failure, and a `SearchEnded` at the end. It is
            called in the thread of the trees.
        stats: Counts of the resources' work, which are kept up to date.
        recording: Record of what engines tell. None to keep none.
        observer: Observer of all requests. None for none.
    """

    def __init__(
        self,
        config: SearchConfig,
        policy: Policy | AsyncPolicy,
        scorer: Scorer | AsyncScorer | None,
        runner: StepRunner,
        verifier: Verifier,
        problems: Iterable[Problem],
        deliver: Callable[[Delivery], None],
        stats: Stats,
        recording: Recording | None,
        observer: Observer | None,
    ) -> None:
        self._search = Search(config, recording)
        self._recording = recording
        self._observer = observer
        self._deliver = deliver
        self._stats = stats
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stopped = False
        self._reason: BaseException | None = None
        self._all_drawn = False
        # Changes that wait, and what came of the first one, until it is taken in.
        self._updates: list[WeightUpdate] = []
        self._made: PolicyUpdated | None = None
        self._updating = False
        self._ended = False
        self._end_lock = threading.Lock()
        send, resources = self._inbox.put, stats.resources
        self._runs: Workers[RunRequest] = Workers(
            lambda run: runner.submit(run.steps),
            send,
            resources["execution"],
            Faults("the runner", ExecutorError),
        )
        self._grades: Workers[GradeRequest] = Workers(
            lambda grade: verifier.submit(grade.problem, grade.answer),
            send,
            resources["grading"],
            Faults("the verifier", ExecutorError),
        )
        self._coroutines = EventLoop("coroutines of a search")
        self._policy: Workers[ExpandRequest] | Lane
        self._scorer: Workers[ScoreRequest] | Lane | None
        if hasattr(policy, "submit"):
            faults = Faults("the policy", PolicyError)
            self._policy = Workers(self._begun(policy.submit), send, resources["policy"], faults)
        else:
            self._policy = Lane(PolicyModel(policy, resources["policy"]), send)
        if scorer is None:
            self._scorer = None
        elif hasattr(scorer, "submit"):
            faults = Faults("the PPM", ScoreError)
            self._scorer = Workers(self._begun(scorer.submit), send, resources["scoring"], faults)
        else:
            self._scorer = Lane(ScorerModel(scorer, resources["scoring"]), send)
        engines = (self._policy, self._scorer, self._runs, self._grades)
        self._lanes = [engine for engine in engines if isinstance(engine, Lane)]
        self._pools = [engine for engine in engines if isinstance(engine, Workers)]
        self._feeder = Feeder(problems, config.max_active, send)
        self._thread = threading.Thread(target=self._run, name="trees of a search", daemon=True)

    def start(self) -> None:
        """Begin to search. Until then no engine is asked anything."""
        self._thread.start()
        atexit.register(self.close)

    def progress(self) -> Progress:
        """Return how far the problems under way are."""
        return self._search.progress()

    def claim(self) -> None:
        """Give a place back: the caller has taken one delivered result."""
        self._feeder.free_place()

    def update(self, update: WeightUpdate) -> None:
        """Begin to change the weights of the policy. `update.done` ends with it."""
        with self._end_lock:
            if not self._ended:
                self._inbox.put(update)
                return
        _end(update, update.perform())

    def stop(self, reason: BaseException | None = None) -> None:
        """Begin to end the search early.

        Args:
            reason: Error that the `SearchEnded` carries. None for an end that is no error.
        """
        if not self._stopped:
            self._reason, self._stopped = reason, True
            self._inbox.put(StopAsked())

    def close(self) -> None:
        """Stop, and wait until no engine works for this search any more.

        A model's call that is under way is not cut short. The only thread that may live on is the
        feeder, and only while the caller's iterable itself blocks.
        """
        self.stop()
        atexit.unregister(self.close)
        # A forgotten iterator may be collected, and so closed, in any thread.
        own_threads = (self._thread, self._feeder.thread, *(lane.thread for lane in self._lanes))
        if threading.current_thread() not in own_threads:
            self._thread.join()
            self._feeder.join()

    def _run(self) -> None:
        error: BaseException | None = None
        started, before = time.perf_counter(), self._stats.wall_s
        try:
            while not self._stopped and (
                self._updates or not (self._all_drawn and self._search.done)
            ):
                messages = self._wait()
                woken = time.perf_counter()
                num_results = self._take_in(messages)
                self._hand_out()
                self._begin_updates()
                if self._recording is not None and self._recording.wait_s() == 0:
                    self._recording.flush()
                self._stats.resources["tree"].called(woken, num_results)
                self._stats.wall_s = before + time.perf_counter() - started
        except BaseException as caught:
            error = caught
        self._wind_up()
        try:
            self._take_in(self._rest())
            if self._recording is not None:
                self._recording.flush()
        except Exception as caught:
            error = error or caught
        self._end_updates()
        for activity in self._stats.resources.values():
            activity.opened(-activity.open)
        self._stats.wall_s = before + time.perf_counter() - started
        self._deliver(SearchEnded(error or self._reason))

    def _wait(self) -> list[Message]:
        """Return all messages that have arrived, one at least, or none where a flush is due."""
        try:
            due_s = None if self._recording is None else self._recording.wait_s()
            first = self._inbox.get(timeout=due_s)
        except queue.Empty:
            return []
        return [first, *(self._inbox.get() for _ in range(self._inbox.qsize()))]

    def _take_in(self, messages: list[Message]) -> int:
        """Tell the search everything that arrived. Returns the number of results."""
        results: list[RequestResult] = []
        problems: list[Problem] = []
        broken: BaseException | None = None
        for message in messages:
            match message:
                case FutureEnded():
                    try:
                        results += message.take(message.future)
                    except RStarError as error:
                        broken = broken or error
                case LaneAnswered():
                    message.activity.opened(-len(message.results))
                    results += message.results
                case ProblemDrawn():
                    problems.append(message.problem)
                case ProblemsExhausted():
                    self._all_drawn = True
                case ThreadFailed():
                    broken = broken or message.error
                case WeightUpdate():
                    self._updates.append(message)
                case PolicyUpdated():
                    self._made = message
                case StopAsked():
                    pass
        if self._observer is not None:
            self._observer.told(results)
            self._observer.began(problems)
        for request_id, result in results:
            self._search.tell(request_id, result)
        # What else has arrived is told, and so recorded, before the search ends.
        if broken is not None:
            raise broken
        self._search.add(problems)
        # What the old weights answered is told by now.
        if self._made is not None:
            self._take_in_update(self._made)
        return len(results)

    def _begin_updates(self) -> None:
        """Hand the first of the changes that wait to the policy, once its time has come."""
        if not self._updates or self._updating:
            return
        update = self._updates[0]
        self._search.held = update.finish
        if update.finish and self._search.num_active:
            return
        self._updating = True

        def perform() -> None:
            self._inbox.put(PolicyUpdated(update, update.perform()))

        if isinstance(self._policy, Lane):
            self._policy.call(perform)
        else:
            perform()

    def _take_in_update(self, made: PolicyUpdated) -> None:
        update = made.update
        if made.error is None and update.staleness is not None:
            self._search.drop_older(update.version - update.staleness)
        self._updates.pop(0)
        self._made, self._updating, self._search.held = None, False, False
        _end(update, made.error)

    def _end_updates(self) -> None:
        """Make the changes that wait, now that nobody uses the policy for this search any more."""
        if self._made is not None:
            _end(self._updates.pop(0), self._made.error)
        for update in self._updates:
            _end(update, update.perform())
        self._updates.clear()

    def _hand_out(self) -> None:
        """Give every queue what the search asks for, and the caller what has ended."""
        work = self._search.ask()
        if self._observer is not None:
            self._observer.asked(work)
        self._policy.submit(work.expand)
        if self._scorer is not None:
            self._scorer.submit(work.score)
        self._runs.submit(work.run)
        self._grades.submit(work.grade)
        if work.dropped:
            for pool in self._pools:
                pool.drop(set(work.dropped))
        for ended in self._search.finished():
            if self._observer is not None:
                self._observer.ended(ended)
            self._deliver(ended)

    def _rest(self) -> list[Message]:
        """Return what still counts of all that has arrived: answers, and changes of the weights."""
        with self._end_lock:
            # A change that comes later is made at once.
            self._ended = True
        rest = [self._inbox.get() for _ in range(self._inbox.qsize())]
        counts = (FutureEnded, LaneAnswered, WeightUpdate, PolicyUpdated)
        return [message for message in rest if isinstance(message, counts)]

    def _wind_up(self) -> None:
        """Begin nothing any more, wait for the models' last calls, and stop every clock."""
        self._stopped = True
        self._feeder.stop()
        for lane in self._lanes:
            lane.stop()
        for pool in self._pools:
            pool.stop()
        self._coroutines.close()
        for lane in self._lanes:
            lane.thread.join()

    def _begun(
        self, submit: "Callable[[Q], Future[A] | Awaitable[A]]"
    ) -> "Callable[[Q], Future[A]]":
        return lambda request: as_future(submit(request), self._coroutines)


def _end(update: WeightUpdate, error: BaseException | None) -> None:
    if error is None:
        update.done.set_result(None)
    else:
        update.done.set_exception(error)
