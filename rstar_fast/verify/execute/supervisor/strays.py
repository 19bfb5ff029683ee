"""Ending child processes that belong to no program. Runs in the supervisor process."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterable

_INTERVAL_S = 1.0
"""Seconds between two sweeps."""


class Strays:
    """Children of the supervisor that no program accounts for.

    A program's native code can make one: the one clone call that the seccomp filter allows makes
    the new process a child of the supervisor.

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

    def sweep(self, known_pids: Iterable[int | None], more_may_come: bool) -> None:
        """Kill the strays, and set the time of the next sweep.

        A child is killed when two sweeps in a row found it unknown. One sweep is not enough,
        because a new clone is unknown until its greeting is read.

        Args:
            known_pids: Process ids of all children that are accounted for. None is ignored.
            more_may_come: Whether programs run that can make strays.
        """
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/proc/self/task/{os.getpid()}/children") as children,
        ):
            unknown = {int(pid) for pid in children.read().split()}.difference(known_pids)
            for pid in unknown & self._suspects:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            self._suspects = unknown - self._suspects
        needed = more_may_come or self._suspects
        self.deadline = time.monotonic() + _INTERVAL_S if needed else math.inf
