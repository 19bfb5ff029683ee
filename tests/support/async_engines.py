"""Made-up engines that answer each request for itself, with the answers of `scripted_engines`."""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from scripted_engines import Policy, Scorer

from rstar_fast.policy.base import ExpandRequest, Expansion, PolicyStats
from rstar_fast.ppm.base import ScoreRequest, Scores

WRITER, JUDGE = Policy(), Scorer()


def written(request: ExpandRequest) -> Expansion:
    """What `scripted_engines.Policy` answers."""
    candidates = [WRITER._write(request, i) for i in range(request.num_candidates)]
    return Expansion(request.id, tuple(candidates))


def judged(request: ScoreRequest) -> Scores:
    """What `scripted_engines.Scorer` answers."""
    (scores,) = JUDGE.score([request])
    return scores


class Futures:
    """An engine whose futures end in a shuffled order, in a thread of its own.

    Attributes:
        given: All requests.
        open: Requests by their futures.
        cancelled: Requests whose futures were cancelled.
    """

    name = "made up"

    def __init__(self, answer: Callable[[Any], Any], seed: int = 0) -> None:
        self.stats = PolicyStats()
        self.given: list[Any] = []
        self.open: dict[Future[Any], Any] = {}
        self.cancelled: list[Any] = []
        self._answer = answer
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, request: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._changed:
            self.given.append(request)
            self.open[future] = request
            self._changed.notify()
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: "Future[Any]") -> None:
        if future.cancelled():
            with self._changed:
                self.cancelled.append(self.open.pop(future))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self.open:
                    self._changed.wait()
                # Sometimes, wait for more to choose from.
                if self._random.random() < 0.5:
                    self._changed.wait(0.001)
                if not self.open:
                    continue
                future = self._random.choice(list(self.open))
                request = self.open[future]
            if not future.set_running_or_notify_cancel():
                continue
            with self._changed:
                self.open.pop(future, None)
            try:
                result = self._answer(request)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)


class Coroutines:
    """An engine whose coroutines take random times.

    Attributes:
        threads: Names of the threads that they ran in.
        cancelled: Requests that were cancelled.
    """

    name = "made up"

    def __init__(self, answer: Callable[[Any], Any], seed: int = 0) -> None:
        self.stats = PolicyStats()
        self.threads: set[str] = set()
        self.cancelled: list[Any] = []
        self._answer = answer
        self._random = random.Random(seed)

    async def submit(self, request: Any) -> Any:
        self.threads.add(threading.current_thread().name)
        try:
            await asyncio.sleep(self._random.random() * 0.004)
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        return self._answer(request)
