"""Engines that take as long as large ones would, in real time, and answer from a script.

The policy batches continuously: a request's candidates take places as they become free, and every step writes one token of each.
A step lasts as long as its tokens take at the full rate, or the latency of a forward if that is longer. It does nothing between two
calls of `step`, so what a scheduler does there, or keeps the interpreter from doing, is lost to it. Prefixes cost it nothing. A
program takes a worker for its duration, a batch of scores the time of its rows.
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

from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.problems import Problem
from rstar_fast.seeding import draw_key
from rstar_fast.verify.base import Grade, Observation, Status


@dataclass(frozen=True)
class Machine:
    """What is simulated.

    Attributes:
        tokens_per_s: of the policy with all places taken.
        places: candidates written at once.
        latency_s: shortest step of the policy.
        step_tokens: mean length of a candidate.
        scores_per_s: partial solutions scored per second.
        score_latency_s: shortest batch of scores.
        workers: programs run at once.
        program_s: mean duration of a program.
        slow_share: of programs that take `slow_s` instead.
        slow_s: see `slow_share`.
    """

    tokens_per_s: float = 20_000.0
    places: int = 256
    latency_s: float = 0.006
    step_tokens: float = 60.0
    scores_per_s: float = 2_000.0
    score_latency_s: float = 0.01
    workers: int = 64
    program_s: float = 0.02
    slow_share: float = 0.01
    slow_s: float = 5.0


def endless_problems() -> Iterator[Problem]:
    """Problems whose right answer is 3."""
    return (Problem(f"p{i}", f"question {i}", ("3",)) for i in itertools.count())


@dataclass(slots=True)
class _Request:
    request: ExpandRequest
    started: int = 0
    candidates: dict[int, Candidate] = field(default_factory=dict)


class SimulatedPolicy:
    """A `Policy`. `occupied_s` is the time of its steps, each by the share of places that were taken."""

    name = "simulated"

    def __init__(self, machine: Machine) -> None:
        self.stats = PolicyStats()
        self.occupied_s = 0.0
        self._machine = machine
        self._queue: deque[_Request] = deque()
        self._num_open = 0
        self._left = np.zeros(machine.places, np.int64)
        self._rows: list[tuple[_Request, int, int] | None] = [None] * machine.places
        self._free = list(range(machine.places))

    @property
    def pending(self) -> int:
        """Requests added and not yet returned."""
        return self._num_open

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests."""
        self._queue.extend(map(_Request, requests))
        self._num_open += len(requests)

    def cancel(self) -> None:
        """Forget all requests."""
        self.__init__(self._machine)  # type: ignore[misc]

    def step(self) -> list[Expansion]:
        """Write one token of every candidate."""
        started = time.perf_counter()
        self._admit()
        num_rows = len(self._rows) - len(self._free)
        if not num_rows:
            return []
        time.sleep(max(self._machine.latency_s, num_rows / self._machine.tokens_per_s))
        self.stats.generated_tokens += num_rows
        self._left -= 1
        done = [
            expansion
            for place in np.flatnonzero(self._left == 0)
            if (expansion := self._finish(int(place)))
        ]
        self.occupied_s += (time.perf_counter() - started) * num_rows / self._machine.places
        return done

    def _admit(self) -> None:
        while self._queue and self._free:
            first = self._queue[0]
            key = draw_key(
                first.request.seed, first.request.problem_id, first.request.node, first.started
            )
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
    """The candidate of a key: an answer at depth 3 or deeper with probability 0.4, else a step of code."""
    if depth >= 3 and key % 10 < 4:
        text = f"\n<answer>{key >> 96:x} gives $\\boxed{{{key % 7}}}$.<end_of_answer>"
    else:
        text = f"\n# Step {depth}: as was said, the amount that is left becomes the one before, less what was given away.\n"
        text += f"amount_{depth} = amount_{max(0, depth - 1)} - {key % 100_003}\n<end_of_step>"
    first = 1000 + key % 100_000
    return Candidate(
        text, tuple(range(first, first + num_tokens)), tuple(-0.01 * i for i in range(num_tokens))
    )


def _length(key: int, mean: float) -> int:
    """Between 5 and four times the mean, geometric in between."""
    return max(5, min(int(4 * mean), int(-math.log(1.0 - _uniform(key)) * mean)))


def _uniform(key: int) -> float:
    return (key >> 64 & 0xFFFFFFFF) / 2**32


class SimulatedScorer:
    """A `Scorer`."""

    name = "simulated"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Take the time that the rows take."""
        num_rows = sum(len(request.children) for request in requests)
        time.sleep(max(self._machine.score_latency_s, num_rows / self._machine.scores_per_s))
        return [
            Scores(
                one.id,
                np.array([2 * _uniform(draw_key(0, child, 0, 0)) - 1 for child in one.children]),
            )
            for one in requests
        ]


def _score(child: str) -> float:
    return 2.0 * _uniform(draw_key(0, child, 0, 0)) - 1.0


class SimulatedRunner:
    """A `StepRunner`: programs that only take time, which follows from their text."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting: deque[tuple[float, Future[Observation]]] = deque()
        self._running: list[tuple[float, int, float, Future[Observation]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        """Begin a program as soon as a worker is free."""
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
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                now = time.monotonic()
                while self._waiting and len(self._running) < self._machine.workers:
                    duration, future = self._waiting.popleft()
                    heapq.heappush(
                        self._running, (now + duration, next(self._order), duration, future)
                    )
                if not self._running or self._running[0][0] > now:
                    self._changed.wait(self._running[0][0] - now if self._running else None)
                    continue
                _, _, duration, future = heapq.heappop(self._running)
            if future.set_running_or_notify_cancel():
                future.set_result(Observation(Status.OK, "", duration))


class InstantVerifier:
    """A `Verifier` that compares texts."""

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Answer at once."""
        future: Future[Grade] = Future()
        future.set_result(Grade(answer in problem.answers))
        return future

    def close(self) -> None:
        """Nothing to stop."""
