"""The bounded queue in front of the executor."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from rstar_fast.sandbox.messages import Refusal

T = TypeVar("T")

_MAX_RETRY_S = 60
_SMOOTHING = 0.1


class Admission:
    """Programs that run, and requests that wait for theirs to start.

    Attributes:
        num_waiting: Number of requests that wait.
        num_running: Number of programs that the executor holds.
    """

    def __init__(self, at_once: int, max_waiting: int) -> None:
        """Begin empty.

        Args:
            at_once: Number of programs that the executor may hold, >= 1.
            max_waiting: Number of requests that may wait.
        """
        self.num_waiting = 0
        self.num_running = 0
        self._at_once = at_once
        self._max_waiting = max_waiting
        self._free = asyncio.Semaphore(at_once)
        self._mean_s = 0.1

    def check(self) -> None:
        """Raise `Refusal` (429) where no more requests may wait."""
        if self._free.locked() and self.num_waiting >= self._max_waiting:
            reason = f"{self.num_waiting} programs wait already; try again later"
            raise Refusal(429, reason, {"retry-after": str(self._retry_s())})

    async def run(self, submit: Callable[[], "Future[T]"]) -> T:
        """Wait for a place, start a program, and wait for its result.

        A request that is cancelled while it waits starts nothing. A program that was started keeps
        its place until it ends.

        Raises:
            Refusal: Too many requests wait.
        """
        self.check()
        self.num_waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.num_waiting -= 1
        try:
            future = submit()
        except BaseException:
            self._free.release()
            raise
        self.num_running += 1
        loop, begin_s = asyncio.get_running_loop(), time.monotonic()

        def ended(_: object) -> None:
            # The loop is closed where the server ends.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._release, begin_s)

        future.add_done_callback(ended)
        return await asyncio.wrap_future(future)

    def _release(self, begin_s: float) -> None:
        self.num_running -= 1
        self._mean_s += _SMOOTHING * (time.monotonic() - begin_s - self._mean_s)
        self._free.release()

    def _retry_s(self) -> int:
        """Return the seconds until the queue is likely to be half empty."""
        wait_s = self._mean_s * self.num_waiting / (2 * self._at_once)
        return max(1, min(_MAX_RETRY_S, math.ceil(wait_s)))
