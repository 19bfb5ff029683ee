"""Calls of a user's function, so many at once, each with requests that wait."""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from rstar_fast.errors import PolicyError, described
from rstar_fast.policy.base import ExpandRequest
from rstar_fast.remote.retries import PASSING

_PLAIN_FORM = 'def write(requests): return [["a step<end_of_step>"] for request in requests]'


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits for its answer.

    Attributes:
        request: The request.
        answer: Future of what the function gives for it.
        alone: Whether its call has no other request.
    """

    request: ExpandRequest
    answer: "asyncio.Future[object]"
    alone: bool


class Calls:
    """Calls a function for requests. All methods are called in one event loop.

    Args:
        function: Function, plain or async, see `FunctionPolicy`.
        concurrency: Number of calls at once.
        batch: Number of requests that a call gets at most, 0 for all, None for one without a list.
        name: Name of the function in messages.
    """

    def __init__(
        self, function: Callable[[Any], Any], concurrency: int, batch: int | None, name: str
    ) -> None:
        self._function = function
        self._concurrency = concurrency
        self._as_list = batch is not None
        self._most = 1 if batch is None else batch
        self._name = name
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )
        self._waiting: deque[_Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def answer(self, request: ExpandRequest, alone: bool) -> object:
        """Return what the function gives for a request.

        Args:
            request: The request.
            alone: Whether its call must have no other request.

        Raises:
            PolicyError: The function did not return one answer for each of its requests.
            Exception: What the function raised.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future(), alone)
        self._waiting.append(waiting)
        # Requests that come at the same time are waited for.
        loop.call_soon(self._begin)
        return await waiting.answer

    def _begin(self) -> None:
        """Begin calls as long as there are requests and free places."""
        while len(self._running) < self._concurrency and (group := self._take()):
            call = asyncio.get_running_loop().create_task(self._call(group))
            self._running.add(call)
            call.add_done_callback(self._ended)
            # The place of a thread is taken until it ends.
            if self._is_async:
                for one in group:
                    one.answer.add_done_callback(partial(_drop, group, call))

    def _ended(self, call: "asyncio.Task[None]") -> None:
        self._running.discard(call)
        self._begin()

    def _take(self) -> list[_Waiting]:
        """Take the requests of the next call. Those that were cancelled are left out."""
        group: list[_Waiting] = []
        while self._waiting and not (self._most and len(group) == self._most):
            if self._waiting[0].alone and group:
                break
            one = self._waiting.popleft()
            if not one.answer.done():
                group.append(one)
                if one.alone:
                    break
        return group

    async def _call(self, group: list[_Waiting]) -> None:
        requests = [one.request for one in group]
        try:
            answers = await self._answers(requests)
        # Whatever ends a call, the requests have to hear of it.
        except BaseException as caught:
            error = caught if isinstance(caught, Exception) else PolicyError(described(caught))
            self._failed(group, error)
            return
        for one, answer in zip(group, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)

    def _failed(self, group: list[_Waiting], error: Exception) -> None:
        if len(group) == 1 or isinstance(error, PASSING):
            for one in group:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one in group:
            one.alone = True
        self._waiting.extendleft(reversed(group))

    async def _answers(self, requests: list[ExpandRequest]) -> Sequence[object]:
        """Call the function and return an answer for each request."""
        given = requests if self._as_list else requests[0]
        answers = self._function(given) if self._is_async else await self._in_thread(given)
        if inspect.isawaitable(answers):
            answers = await answers
        if not self._as_list:
            return [answers]
        got = f"an object of type {type(answers).__name__}"
        if isinstance(answers, Sequence) and not isinstance(answers, str):
            if len(answers) == len(requests):
                return answers
            got = f"{len(answers)} answers"
        raise PolicyError(
            f"{self._name}: expected one list of candidates for each of {len(requests)} requests, "
            f"as from `{_PLAIN_FORM}`; got {got}"
        )

    async def _in_thread(self, given: Any) -> Any:
        # A thread of a pool would keep the interpreter from its end while a call hangs.
        done: Future[Any] = Future()
        done.set_running_or_notify_cancel()
        threading.Thread(
            target=_call,
            args=(self._function, given, done),
            name=f"call of {self._name}",
            daemon=True,
        ).start()
        return await asyncio.wrap_future(done)


def _call(function: Callable[[Any], Any], given: Any, done: "Future[Any]") -> None:
    try:
        answer = function(given)
    except StopIteration as error:
        # A coroutine cannot raise it.
        done.set_exception(PolicyError(described(error)))
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(answer)


def _drop(group: list[_Waiting], call: "asyncio.Task[None]", _: object) -> None:
    """End a call whose requests were all cancelled."""
    if all(one.answer.cancelled() for one in group):
        call.cancel()
