"""Ending child processes that belong to no program. Runs in the supervisor process."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterable

from rstar_fast.verify.sandbox.children import children

_INTERVAL_S = 1.0
"""Seconds between two sweeps."""
_MAX_ROUNDS = 1000
"""Number of times that one sweep looks for strays."""


class Strays:
    """Children of the supervisor that no program accounts for.

    The one clone call that the filter allows makes the new process a child of the supervisor. Where
    the kernel asks for approval, a snapshot can make one process that never greets for each clone
    that is requested of it. Where it does not ask, any program can make as many as it likes.

    Attributes:
        deadline: Time of the next sweep, by the monotonic clock. Infinite if none is needed.
    """

    def __init__(self) -> None:
        self.deadline = math.inf
        self._suspects: set[int] = set()

    def expect(self) -> None:
        """Plan a sweep, because a program starts."""
        self.deadline = min(self.deadline, time.monotonic() + _INTERVAL_S)

    @property
    def due(self) -> bool:
        """Whether it is time for a sweep."""
        return time.monotonic() >= self.deadline

    def sweep(
        self, known_pids: Iterable[int | None], births_due: bool, more_may_come: bool
    ) -> None:
        """Kill the strays, and set the time of the next sweep.

        While births are due, a child is killed when two sweeps in a row found it unknown, because a
        new clone is unknown until its greeting is read. Otherwise every unknown child is killed,
        and the children are looked at again until none is unknown: a stray can clone itself.

        Args:
            known_pids: Process ids of all children that are accounted for. None is ignored.
            births_due: Whether a requested clone has not greeted yet.
            more_may_come: Whether programs run that can make strays.
        """
        known = {pid for pid in known_pids if pid is not None}
        unknown = children() - known
        if births_due:
            _end(unknown & self._suspects)
            self._suspects = unknown - self._suspects
        else:
            self._suspects = set()
            for _ in range(_MAX_ROUNDS):
                if not unknown:
                    break
                _end(unknown)
                unknown = children() - known
        needed = more_may_come or self._suspects or unknown
        self.deadline = time.monotonic() + _INTERVAL_S if needed else math.inf


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
