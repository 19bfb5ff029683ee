"""Requests that are made again after a passing fault, and the pause of an outage."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from rstar_fast.checks import check_integer, check_number
from rstar_fast.errors import OutageError, TransientError, described

T = TypeVar("T")

OUTAGE_AFTER = 3
"""Number of passing faults in a row, without an answer between them, that make an outage."""
FIRST_DELAY_S = 0.5
"""Longest delay before the first repetition. It doubles with each one."""
LONGEST_DELAY_S = 30.0
"""Longest delay, if the engine does not ask for more."""
FEW = 8
"""Number of requests below which those that fail may be at fault themselves."""
MAX_WORDS = 300
"""Characters of an engine's words that are logged."""

PASSING = (TransientError, ConnectionError, TimeoutError)
"""Exceptions after which a request is made again."""

_LOG = logging.getLogger("rstar_fast")


class Retries:
    """Repeats the requests of one engine. All calls are made in one event loop.

    A request that fails for a passing reason is repeated after a random delay that grows, within a
    budget. Other exceptions go through at once.

    If nothing is answered any more, it is an **outage**. Nothing fails then, and no budget is
    spent: all requests wait, and take turns to ask, one at a time. The first answer of any kind
    ends the outage. One that lasts too long raises `OutageError` for all that wait.

    At the end of a search the requests that are left may be the bad ones. If fewer than `FEW` fail,
    and the engine can be reached, they fail with their own errors after a third of that time. A
    request that fails all alone ends with its own error too, and others may go on.

    Args:
        engine: Name of the engine in messages.
        attempts: Number of times that a request is made at most, above `OUTAGE_AFTER`. Those in an
            outage do not count.
        limit_s: Seconds after the first failure of a request in which it is repeated. Those in an
            outage do not count.
        outage_s: Seconds without an answer after which the engine counts as broken.
    """

    def __init__(
        self,
        engine: str,
        *,
        attempts: int = 8,
        limit_s: float = 180.0,
        outage_s: float = 1800.0,
    ) -> None:
        check_integer("attempts", attempts, low=OUTAGE_AFTER + 1)
        check_number("limit_s", limit_s, low=0)
        check_number("outage_s", outage_s, low=0)
        self._engine = engine
        self._attempts = attempts
        self._limit_s = limit_s
        self._outage_s = outage_s
        self._failed_in_a_row = 0
        self._failing_since = 0.0
        # Requests that failed since the last answer.
        self._failing: set[object] = set()
        self._outage: _Outage | None = None
        # It decides when a request is made, and never what it is answered.
        self._random = random.Random()

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make a request by `attempt`, again and again if need be, and return its answer.

        Raises:
            OutageError: Nothing was answered for `outage_s`.
            Exception: What the last attempt raised.
        """
        me = object()
        last: Exception | None = None
        failures, until = 0, math.inf
        while True:
            if (outage := self._outage) is not None:
                waited_from = time.monotonic()
                async with outage.turn:
                    await self._until_next_attempt(outage)
                    if not outage.over.is_set():
                        try:
                            return await self._try(attempt)
                        except PASSING as error:
                            last = error
                            self._missed(outage, me, error)
                if outage.over.is_set():
                    outage.judge(last)
                    # Not all at once.
                    await asyncio.sleep(self._random.uniform(0, FIRST_DELAY_S))
                until += time.monotonic() - waited_from
                continue
            try:
                return await self._try(attempt)
            except PASSING as error:
                last = error
                self._count(me, error)
                if self._outage is not None:
                    continue
                failures += 1
                now = time.monotonic()
                until = min(until, now + self._limit_s)
                if failures == self._attempts or now >= until:
                    raise
                delay_s = min(self._delay_s(failures, error), until - now)
            await asyncio.sleep(delay_s)

    async def _try(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make a request once. All but a passing fault shows that the engine is there."""
        try:
            answer = await attempt()
        except PASSING:
            raise
        except Exception:
            self._answered()
            raise
        self._answered()
        return answer

    def _answered(self) -> None:
        self._begin_anew()
        if (outage := self._outage) is not None:
            outage.answered = True
            self._end(outage)
            if outage.misses:
                _LOG.warning("%s answers again, after %s", self._engine, _duration(outage.age_s))

    def _begin_anew(self) -> None:
        self._failed_in_a_row = 0
        self._failing.clear()

    def _count(self, me: object, error: Exception) -> None:
        """Count a passing fault, which may begin an outage."""
        self._failing.add(me)
        if not self._failed_in_a_row:
            self._failing_since = time.monotonic()
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= OUTAGE_AFTER and self._outage is None:
            self._outage = _Outage(self._failing_since, error)

    async def _until_next_attempt(self, outage: "_Outage") -> None:
        """Wait, or until the outage is over."""
        left_s = max(0.0, self._longest_s(outage) - outage.age_s)
        delay_s = min(self._delay_s(outage.misses + 1, outage.last), left_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(outage.over.wait(), delay_s)

    def _missed(self, outage: "_Outage", me: object, error: Exception) -> None:
        """Count an attempt in an outage that failed too. Such an outage is told of once."""
        outage.misses += 1
        outage.last = error
        if outage.over.is_set():
            return
        self._failing.add(me)
        if outage.age_s >= self._longest_s(outage):
            outage.verdict = self._verdict(outage)
            self._begin_anew()
            self._end(outage)
        elif outage.misses == 1:
            _LOG.warning(
                "%s does not answer (%s); waiting for it, for %s at most",
                self._engine,
                _printable(described(error)),
                _duration(self._outage_s),
            )

    def _longest_s(self, outage: "_Outage") -> float:
        """Return the seconds that an outage may last."""
        few = len(self._failing) < FEW and not isinstance(outage.last, ConnectionError)
        return self._outage_s / 3 if few else self._outage_s

    def _verdict(self, outage: "_Outage") -> str | None:
        """Return why the engine counts as broken. None if the requests are to blame."""
        reached = not isinstance(outage.last, ConnectionError)
        if len(self._failing) < (FEW if reached else 2):
            _LOG.warning("%s: gave up on requests that are never answered", self._engine)
            return None
        return (
            f"{self._engine} has not answered for {_duration(outage.age_s)}; "
            f"the last time it failed with {described(outage.last)}"
        )

    def _end(self, outage: "_Outage") -> None:
        self._outage = None
        outage.over.set()
        # Each of those that wait lets the next one go on, also while an attempt is under way.
        outage.turn.release()

    def _delay_s(self, failures: int, error: Exception) -> float:
        """Return a random delay after a number of failures, or what the engine asks for."""
        longest_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 30))
        asked_s = error.retry_after_s if isinstance(error, TransientError) else None
        return max(self._random.uniform(0, longest_s), asked_s or 0.0)


class _Outage:
    """An outage, which begins with the first of the failures that make it one.

    Attributes:
        last: Last failure.
        misses: Number of attempts that failed since it was known.
        over: Whether it is over.
        answered: Whether an answer ended it.
        verdict: Reason why the engine counts as broken, if the outage ends so. None otherwise.
        turn: Permission to make an attempt.
    """

    def __init__(self, since: float, last: Exception) -> None:
        self._since = since
        self.last = last
        self.misses = 0
        self.over = asyncio.Event()
        self.answered = False
        self.verdict: str | None = None
        self.turn = asyncio.Semaphore(1)

    @property
    def age_s(self) -> float:
        """Seconds since the first failure."""
        return time.monotonic() - self._since

    def judge(self, last: Exception | None) -> None:
        """Raise what an outage without an answer means for a request, by its last failure."""
        if self.verdict is not None:
            raise OutageError(self.verdict) from self.last
        if not self.answered and last is not None:
            raise last


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _printable(text: str) -> str:
    """Return a server's words as one line that does nothing to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_WORDS]
