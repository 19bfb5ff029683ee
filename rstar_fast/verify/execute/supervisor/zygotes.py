"""The zygotes of a supervisor: one at first, and more while programs wait.

Runs in the supervisor process.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from rstar_fast.verify.execute.supervisor.poller import Poller
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import FrameError

_START_LIMIT_S = 90.0
"""Seconds in which a started zygote has to be ready."""
_MAX_STARTS = 3
"""Number of starts that may fail in a row. After the last one, the supervisor gives up."""


class Zygotes:
    """The zygotes that live.

    Attributes:
        report: Report of the zygote that became ready last. Empty before that.
    """

    def __init__(
        self,
        options: ZygoteOptions,
        max_count: int,
        poller: Poller,
        watch_questions: Callable[[int], None],
        on_ready: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        """Make an empty set. `start` starts the first zygote.

        Args:
            options: Options of every zygote.
            max_count: Largest number of zygotes, >= 1.
            poller: Poller that reports readable sockets of zygotes.
            watch_questions: Function that takes the descriptor of the kernel's questions about the
                calls of a zygote and its clones.
            on_ready: Function that is called whenever a zygote becomes ready.
            fail: Function that is called with the reason when no zygote can be started.
        """
        self.report: dict[str, Any] = {}
        self._options = options
        self._max_count = max_count
        self._poller = poller
        self._watch_questions = watch_questions
        self._on_ready = on_ready
        self._fail = fail
        self._zygotes: list[ZygoteProcess] = []
        self._start_deadline = math.inf
        self._num_failed_starts = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of all zygotes."""
        return [zygote.pid for zygote in self._zygotes]

    @property
    def deadline(self) -> float:
        """Time by the monotonic clock at which a starting zygote is late. Infinite without one."""
        is_starting = any(not zygote.report for zygote in self._zygotes)
        return self._start_deadline if is_starting else math.inf

    def get(self, pid: int) -> ZygoteProcess | None:
        """Return the zygote with a process id. None if there is none."""
        return next((zygote for zygote in self._zygotes if zygote.pid == pid), None)

    @property
    def births_due(self) -> bool:
        """Whether clones were requested from a zygote that do not live yet."""
        return any(zygote.num_cloning for zygote in self._zygotes)

    def idlest(self) -> ZygoteProcess | None:
        """Return the ready zygote with the fewest open requests, or None if none is ready."""
        return min(
            (zygote for zygote in self._zygotes if zygote.report),
            key=lambda zygote: zygote.num_cloning,
            default=None,
        )

    def start(self) -> None:
        """Start a zygote."""
        try:
            zygote = ZygoteProcess(self._options)
        except OSError as error:
            self._fail(str(error))
        else:
            self._start_deadline = time.monotonic() + _START_LIMIT_S
            self._zygotes.append(zygote)
            self._poller.watch(zygote.sock.fileno(), lambda _: self._hear(zygote))

    def start_another(self) -> None:
        """Start one more zygote, unless one is starting or there are `max_count` already."""
        if len(self._zygotes) < self._max_count and all(zygote.report for zygote in self._zygotes):
            self.start()

    def end(self, zygote: ZygoteProcess) -> None:
        """End a zygote if it has not ended, and start another if it was the last one."""
        if zygote not in self._zygotes:
            return
        self._poller.unwatch(zygote.sock.fileno())
        self._zygotes.remove(zygote)
        how = zygote.end()
        if not zygote.report:
            self._num_failed_starts += 1
            if self._num_failed_starts >= _MAX_STARTS:
                self._fail(
                    f"the process that programs are cloned from ended before it was ready ({how})"
                )
        if not self._zygotes:
            self.start()

    def end_late(self) -> None:
        """End starting zygotes that are late."""
        if time.monotonic() > self.deadline:
            for zygote in [zygote for zygote in self._zygotes if not zygote.report]:
                self.end(zygote)

    def _hear(self, zygote: ZygoteProcess) -> None:
        was_ready = zygote.report is not None
        try:
            is_there = zygote.receive()
        except (OSError, FrameError):
            is_there = False
        questions_fd = zygote.take_questions()
        if questions_fd is not None:
            self._watch_questions(questions_fd)
        if not is_there:
            self.end(zygote)
        elif zygote.report and "failed" in zygote.report:
            self._fail(str(zygote.report["failed"]))
        elif zygote.report and not was_ready:
            self._num_failed_starts = 0
            self.report = zygote.report
            self._on_ready()
