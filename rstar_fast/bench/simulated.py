"""Engines that take as long as those of a large machine, in real time, and answer from a script.

The policy batches continuously. The candidates of a request take places as these become free, and
every step writes one token of each. A step lasts as long as its tokens take at the full rate, but
at least the latency of a forward pass. Between two calls of `step` the policy does nothing,
so time that the scheduler spends there is lost to it. Prefixes cost it nothing. A program takes one
worker for its duration, and a batch of scores takes the time of its rows.
"""

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from rstar_fast.bench.machine import Machine
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.problems import Problem
from rstar_fast.seeding import draw_key
from rstar_fast.verify.base import Grade, Observation, Status

_TICK_S = 2e-4
"""Shortest sleep, seconds, while the clock may be standing still."""


class Clock:
    """The time of the simulated engines. It stands still while the machine wakes the policy late.

    Attributes:
        late_s: Seconds for which it has stood still.
    """

    def __init__(self) -> None:
        self.late_s = 0.0
        self._stop_s = math.inf

    def now(self) -> float:
        """Return the time, seconds."""
        return min(time.perf_counter() - self.late_s, self._stop_s)

    def sleep_exactly(self, until: float) -> None:
        """Sleep until a time. No time passes between that one and the waking."""
        self._stop_s = until
        time.sleep(max(0.0, until + self.late_s - time.perf_counter()))
        self.late_s = max(self.late_s, time.perf_counter() - until)
        self._stop_s = math.inf

    def sleep(self, until: float) -> None:
        """Sleep until a time, or somewhat longer."""
        while (left := until - self.now()) > 0:
            time.sleep(max(left, _TICK_S))


def endless_problems() -> Iterator[Problem]:
    """Return problems without end. The right answer of each is 3."""
    return (Problem(f"p{i}", f"question {i}", ("3",)) for i in itertools.count())


@dataclass(slots=True)
class _Request:
    request: ExpandRequest
    started: int = 0
    candidates: dict[int, Candidate] = field(default_factory=dict)


class SimulatedPolicy:
    """A `Policy` that takes time and writes from a script.

    Attributes:
        stats: Counts of the policy.
        clock: Clock of all engines of the machine.
    """

    name = "simulated"

    def __init__(self, machine: Machine, clock: Clock | None = None) -> None:
        self.stats = PolicyStats()
        self.clock = clock or Clock()
        self._machine = machine
        self._queue: deque[_Request] = deque()
        self._num_open = 0
        self._left = np.zeros(machine.places, np.int64)
        self._rows: list[tuple[_Request, int, int] | None] = [None] * machine.places
        self._free = list(range(machine.places))

    @property
    def pending(self) -> int:
        """Number of requests that were added and not returned yet."""
        return self._num_open

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests."""
        self._queue.extend(map(_Request, requests))
        self._num_open += len(requests)

    def cancel(self) -> None:
        """Forget all requests."""
        self.__init__(self._machine, self.clock)  # type: ignore[misc]

    def step(self) -> list[Expansion]:
        """Write one token of every candidate."""
        started = self.clock.now()
        self._admit()
        num_rows = len(self._rows) - len(self._free)
        if not num_rows:
            return []
        end = started + max(self._machine.latency_s, num_rows / self._machine.tokens_per_s)
        self.stats.generated_tokens += num_rows
        self._left -= 1
        done = [
            expansion
            for place in np.flatnonzero(self._left == 0)
            if (expansion := self._finish(int(place)))
        ]
        # What was written above takes part of the step's time, as on a device of its own.
        self.clock.sleep_exactly(end)
        return done

    def _admit(self) -> None:
        while self._queue and self._free:
            first = self._queue[0]
            key = first.request.draw_key(first.started)
            place = self._free.pop()
            self._rows[place] = (first, first.started, key)
            self._left[place] = _length(key, self._machine.step_tokens)
            first.started += 1
            if first.started == first.request.num_candidates:
                self._queue.popleft()

    def _finish(self, place: int) -> Expansion | None:
        row, self._rows[place] = self._rows[place], None
        assert row is not None
        self._free.append(place)
        owner, sample, key = row
        owner.candidates[sample] = write(
            key, len(owner.request.path), _length(key, self._machine.step_tokens)
        )
        count = owner.request.num_candidates
        if len(owner.candidates) < count:
            return None
        self._num_open -= 1
        return Expansion(owner.request.id, tuple(owner.candidates[i] for i in range(count)))


def write(key: int, depth: int, num_tokens: int) -> Candidate:
    """Return the candidate of a key.

    It is an answer with probability 0.4 at depth 3 or deeper. Otherwise it is a step of code.

    Args:
        key: Random number that the candidate depends on.
        depth: Number of steps before it.
        num_tokens: Length of the candidate, tokens.
    """
    if depth >= 3 and key % 10 < 4:
        text = f"\n<answer>{key >> 96:x} gives $\\boxed{{{key % 7}}}$.<end_of_answer>"
    else:
        text = (
            f"\n# Step {depth}: as was said, the amount that is left becomes the one before, "
            "less what was given away.\n"
        )
        text += f"amount_{depth} = amount_{max(0, depth - 1)} - {key % 100_003}\n<end_of_step>"
    first = 1000 + key % 100_000
    return Candidate(
        text, tuple(range(first, first + num_tokens)), tuple(-0.01 * i for i in range(num_tokens))
    )


def _length(key: int, mean: float) -> int:
    """Return a random length, geometric but at least 5 and at most four times the mean."""
    return max(5, min(int(4 * mean), int(-math.log(1.0 - _uniform(key)) * mean)))


def _uniform(key: int) -> float:
    return (key >> 64 & 0xFFFFFFFF) / 2**32


class SimulatedScorer:
    """A `Scorer` that takes time and draws the scores from the texts."""

    name = "simulated"

    def __init__(self, machine: Machine, clock: Clock | None = None) -> None:
        self._machine = machine
        self._clock = clock or Clock()

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Score all children, after the time that their rows take."""
        num_rows = sum(len(request.children) for request in requests)
        took = max(self._machine.score_latency_s, num_rows / self._machine.scores_per_s)
        self._clock.sleep(self._clock.now() + took)
        return [
            Scores(
                one.id,
                np.array([2 * _uniform(draw_key(0, child, 0, 0)) - 1 for child in one.children]),
            )
            for one in requests
        ]


class SimulatedRunner:
    """A `StepRunner` whose programs only take time. The time follows from their text."""

    def __init__(self, machine: Machine, clock: Clock | None = None) -> None:
        self._machine = machine
        self._clock = clock or Clock()
        self._waiting: deque[tuple[float, Future[Observation]]] = deque()
        self._running: list[tuple[float, int, float, Future[Observation]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        """Begin a program once a worker is free."""
        key = draw_key(1, steps[-1], len(steps), 0)
        slow = key % 10_000 < 10_000 * self._machine.slow_share
        duration = (
            self._machine.slow_s
            if slow
            else -math.log(1.0 - _uniform(key)) * self._machine.program_s
        )
        future: Future[Observation] = Future()
        with self._changed:
            self._waiting.append((duration, future))
            if len(self._running) < self._machine.workers:
                self._changed.notify()
        return future

    def close(self) -> None:
        """End the thread of the runner."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                now = self._clock.now()
                while self._waiting and len(self._running) < self._machine.workers:
                    duration, future = self._waiting.popleft()
                    heapq.heappush(
                        self._running, (now + duration, next(self._order), duration, future)
                    )
                if not self._running or self._running[0][0] > now:
                    left = max(self._running[0][0] - now, _TICK_S) if self._running else None
                    self._changed.wait(left)
                    continue
                _, _, duration, future = heapq.heappop(self._running)
            if future.set_running_or_notify_cancel():
                future.set_result(Observation(Status.OK, "", duration))


class InstantVerifier:
    """A `Verifier` that compares texts."""

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Return the grade at once."""
        future: Future[Grade] = Future()
        future.set_result(Grade(answer in problem.answers))
        return future

    def close(self) -> None:
        """Do nothing: there is nothing to stop."""
