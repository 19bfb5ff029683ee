"""Small made-up engines. Every answer follows from its request alone."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from rstar_fast.config import SearchConfig
from rstar_fast.policy import Candidate, ExpandRequest
from rstar_fast.policy.base import Expansion
from rstar_fast.policy.scripted import QueuedPolicy
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status

CONFIG = {"candidates": 4, "rollouts": 5, "max_depth": 5, "max_active": 8}


def problems(count: int, first: int = 0) -> list[Problem]:
    return [Problem(f"p{i}", f"question {i}", ("3",)) for i in range(first, first + count)]


class Policy(QueuedPolicy):
    """Writes steps by key. `fault` is called before each batch, and may raise for its requests."""

    def __init__(
        self, batch: int = 0, fault: Callable[[Sequence[ExpandRequest]], None] | None = None
    ) -> None:
        super().__init__(batch, "made up")
        self.threads: set[str] = set()
        self._fault = fault

    def step(self) -> list[Expansion]:
        self.threads.add(threading.current_thread().name)
        taken = self._take()
        if self._fault is not None:
            self._fault(taken)
        return [
            Expansion(
                request.id, tuple(self._write(request, i) for i in range(request.num_candidates))
            )
            for request in taken
        ]

    def _write(self, request: ExpandRequest, sample: int) -> Candidate:
        draw = request.draw_key(sample) % 1000
        if len(request.path) >= 2 and draw % 2:
            text = (
                f"\n<answer>It is $\\boxed{{{draw % 7}}}$.<end_of_answer>"
                if draw % 3
                else f"\n\\boxed{{{draw % 7}}}"
            )
        else:
            text = f"\nx = {draw % 50}<end_of_step>"
        self.stats.generated_tokens += 3
        return Candidate(text, (1, 2, 3), (-0.5, -0.5, -0.5))


class Scorer:
    """Scores by the letters; `fault` as in `Policy`."""

    name = "made up"

    def __init__(self, fault: Callable[[Sequence[ScoreRequest]], None] | None = None) -> None:
        self.batches: list[int] = []
        self._fault = fault

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        self.batches.append(len(requests))
        if self._fault is not None:
            self._fault(requests)
        return [
            Scores(one.id, np.array([np.sin(sum(map(ord, child))) for child in one.children]))
            for one in requests
        ]


class Runner:
    """Runs steps in threads, `seconds(step)` each."""

    def __init__(
        self, workers: int = 2, seconds: Callable[[str], float] = lambda step: 0.0
    ) -> None:
        self._pool = ThreadPoolExecutor(workers)
        self._seconds = seconds

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        return self._pool.submit(self._run, steps[-1])

    def _run(self, step: str) -> Observation:
        time.sleep(self._seconds(step))
        failed = sum(map(ord, step)) % 5 == 0
        return (
            Observation(Status.ERROR, "ValueError: no")
            if failed
            else Observation(Status.OK, "fine")
        )

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Verifier:
    """Compares texts."""

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        future: Future[Grade] = Future()
        future.set_result(Grade(answer in problem.answers))
        return future

    def close(self) -> None:
        pass


def searcher(
    policy: Any = None, scorer: Any = None, runner: Any = None, verifier: Any = None, **options: Any
) -> Searcher:
    """A searcher over made-up engines, where none is given."""
    config = SearchConfig.from_dict({**CONFIG, **options})
    scorer = (scorer or Scorer()) if config.use_scores else None
    return Searcher(
        policy or Policy(),
        config,
        scorer,
        runner=runner or Runner(),
        verifier=verifier or Verifier(),
    )


def plain(ended: Iterable[Any]) -> dict[str, Any]:
    """The nodes of finished trees, by problem id. No problem may have failed."""
    ended = list(ended)
    assert all(isinstance(tree, Tree) for tree in ended), ended
    return {tree.problem.id: tree.nodes for tree in ended}
