"""An event loop in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from rstar_fast.errors import SearchError, described

T = TypeVar("T")

CLOSE_LIMIT_S = 2.0
"""Seconds that `EventLoop.close` waits for coroutines that are cancelled."""


class EventLoop:
    """Runs coroutines in one daemon thread, for callers in any thread.

    The thread begins with the first coroutine.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()
        self._closed = False
        self._begun: Future[asyncio.AbstractEventLoop] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def run(self, awaitable: Awaitable[T]) -> "Future[T]":
        """Begin a coroutine and return its future at once.

        Cancelling the future cancels the coroutine.

        Raises:
            SearchError: The loop is closed, or this process was forked from the one that made it.
        """
        coroutine = _awaited(awaitable)
        # Nothing may be locked in a forked process: the thread that would unlock is not there.
        if self._forked:
            coroutine.close()
            _close(awaitable)
            raise SearchError("an event loop does not run in a process forked from its own")
        with self._lock:
            if self._closed:
                coroutine.close()
                _close(awaitable)
                raise SearchError("the event loop is closed")
            if self._begun is None:
                self._begun = Future()
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(coroutine, self._begun.result())
            self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def close(self) -> None:
        """Cancel every coroutine and end the thread. Futures that are open are cancelled.

        A coroutine that heeds no cancellation is left behind after `CLOSE_LIMIT_S`.
        """
        if self._forked:
            return
        with self._lock:
            closed, self._closed = self._closed, True
        if self._begun is None:
            return
        if not closed:
            for future in list(self._open):
                future.cancel()
            # A coroutine may have ended the loop.
            with suppress(RuntimeError):
                self._begun.result().call_soon_threadsafe(self._end.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_LIMIT_S)

    @property
    def _forked(self) -> bool:
        return os.getpid() != self._pid

    def _run(self) -> None:
        # Leaving it cancels what has survived, and waits for it.
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        assert self._begun is not None
        self._begun.set_result(asyncio.get_running_loop())
        await self._end.wait()


async def _awaited(awaitable: Awaitable[T]) -> T:
    try:
        return await awaitable
    # They would end the thread.
    except (SystemExit, KeyboardInterrupt) as error:
        raise SearchError(described(error)) from error


def _close(awaitable: Awaitable[Any]) -> None:
    """Close a coroutine that is not begun. Python would warn that it was never awaited."""
    if asyncio.iscoroutine(awaitable):
        awaitable.close()
