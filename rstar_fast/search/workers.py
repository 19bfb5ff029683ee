"""Requests that become futures: of worker processes, and of engines that answer one by one."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

from rstar_fast.errors import OutageError, SearchError, described
from rstar_fast.policy.base import ExpandRequest, Expansion
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.remote import EventLoop
from rstar_fast.search.activity import Activity
from rstar_fast.search.faults import Faults
from rstar_fast.search.messages import FutureEnded, Send
from rstar_fast.search.work import RESULT_OF, GradeRequest, RequestResult, RunRequest

R = TypeVar("R", RunRequest, GradeRequest, ExpandRequest, ScoreRequest)
T = TypeVar("T")


class Workers(Generic[R]):
    """A pool of workers, or an engine that answers each request for itself, as a search uses it.

    One thread calls it; the futures may end in any thread.

    Args:
        start: Function that begins one request and returns its future.
        send: Function that takes a `FutureEnded` for every future that ends.
        activity: Counts of the pool's work, which are kept up to date.
        faults: Faults of the pool, which are counted.
    """

    def __init__(
        self,
        start: "Callable[[R], Future[Any]]",
        send: Send,
        activity: Activity,
        faults: Faults,
    ) -> None:
        self._start: Callable[[R], Future[Any]] = start
        self._ended = partial(_send_ended, send, self.take)
        self._activity = activity
        self._faults = faults
        self._open: dict[Future[Any], R] = {}
        self._tried: set[int] = set()
        self._stopped = False

    def submit(self, requests: Sequence[R]) -> None:
        """Begin requests."""
        if requests:
            self._activity.opened(len(requests))
            for request in requests:
                self._begin(request)

    def take(self, future: "Future[Any]") -> list[RequestResult]:
        """Return the result of a future that has ended.

        The list is empty if the request failed for the first time: it is begun once more. It is
        empty too if nobody waits for the result any more.

        Raises:
            RStarError: The pool is broken; see `Faults.failed`.
        """
        request = self._open.pop(future, None)
        if request is None:
            return []
        result: Any
        try:
            result = future.result()
            if not isinstance(result, RESULT_OF[type(request)]):
                raise SearchError(
                    f"expected {RESULT_OF[type(request)].__name__}, got {type(result).__name__}"
                )
            if isinstance(result, Expansion | Scores) and result.request_id != request.id:
                raise SearchError(
                    f"request {result.request_id!r} was answered in place of {request.id}"
                )
        # The function of a future may also have tried to end the process.
        except BaseException as caught:
            if self._stopped:
                return []
            # The engine has waited long enough, and no other request will do better.
            if isinstance(caught, OutageError):
                raise
            error = caught if isinstance(caught, Exception) else SearchError(described(caught))
            if request.id not in self._tried:
                self._tried.add(request.id)
                self._begin(request)
                return []
            result = self._faults.failed(error)
        else:
            self._faults.in_a_row = 0
        self._activity.opened(-1)
        self._activity.requests += 1
        self._activity.batches += 1
        return [(request.id, result)]

    def drop(self, request_ids: Collection[int]) -> None:
        """Cancel some requests, and ignore their results. Ids of other requests are ignored."""
        dropped = [future for future, one in self._open.items() if one.id in request_ids]
        for future in dropped:
            del self._open[future]
            future.cancel()
        self._activity.opened(-len(dropped))

    def stop(self) -> None:
        """Cancel all requests. Results that are there already can still be taken."""
        self._stopped = True
        for future in self._open:
            future.cancel()

    def _begin(self, request: R) -> None:
        try:
            future = self._start(request)
            if not isinstance(future, Future):
                raise SearchError(f"expected a Future, got {type(future).__name__}")
        except Exception as error:
            future = Future()
            future.set_exception(error)
        self._open[future] = request
        future.add_done_callback(self._ended)


def as_future(answer: "Future[T] | Awaitable[T]", loop: EventLoop) -> "Future[T]":
    """Return the future of an engine's answer. A coroutine is run in the loop."""
    return loop.run(answer) if isinstance(answer, Awaitable) else answer


def _send_ended(
    send: Send, take: "Callable[[Future[Any]], list[RequestResult]]", future: "Future[Any]"
) -> None:
    send(FutureEnded(take, future))
