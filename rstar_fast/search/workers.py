"""Requests that become futures of worker processes: programs to run, answers to grade."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from rstar_fast.search.activity import Activity
from rstar_fast.search.faults import Faults
from rstar_fast.search.work import GradeRequest, RequestResult, RunRequest

R = TypeVar("R", RunRequest, GradeRequest)


class Workers(Generic[R]):
    """A pool of workers as a search sees it. Used by one thread; the futures may end in any.

    Args:
        start: begins one request.
        landed: gets every future that ends, for `take`.
        activity: where to count.
        faults: of the pool.
    """

    def __init__(
        self,
        start: "Callable[[R], Future[Any]]",
        landed: "queue.SimpleQueue[Any]",
        activity: Activity,
        faults: Faults,
    ) -> None:
        self._start: Callable[[R], Future[Any]] = start
        self._landed = landed
        self._activity = activity
        self._faults = faults
        self._open: dict[Future[Any], R] = {}
        self._tried: set[int] = set()

    def submit(self, requests: Sequence[R]) -> None:
        """Begin requests."""
        if requests:
            self._activity.opened(len(requests))
            for request in requests:
                self._begin(request)

    def take(self, landed: "Sequence[Future[Any]]") -> list[RequestResult]:
        """The answers of those futures that are of this pool. A request that failed for the first time is begun again."""
        answers: list[RequestResult] = []
        for future in landed:
            request = self._open.pop(future, None)
            if request is None:
                continue
            try:
                answers.append((request.id, future.result()))
            except Exception as error:
                answers += self._failed(request, error)
            else:
                self._faults.in_a_row = 0
        if answers:
            self._activity.opened(-len(answers))
            self._activity.requests += len(answers)
            self._activity.batches += len(answers)
        return answers

    def cancel(self) -> None:
        """Take back what has not begun; the answers of the rest are lost."""
        for future in self._open:
            future.cancel()

    def _failed(self, request: R, error: Exception) -> list[RequestResult]:
        if request.id in self._tried:
            return [(request.id, self._faults.failed(error))]
        self._tried.add(request.id)
        self._begin(request)
        return []

    def _begin(self, request: R) -> None:
        try:
            future = self._start(request)
        except Exception as error:
            future = Future()
            future.set_exception(error)
        self._open[future] = request
        future.add_done_callback(self._landed.put)
