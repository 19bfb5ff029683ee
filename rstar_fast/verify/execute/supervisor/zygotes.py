"""The zygotes of a supervisor: one at first, more while programs wait, another where one ended."""

import math
import time
from collections.abc import Callable
from typing import Any

from rstar_fast.verify.execute.supervisor.poller import Poller
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.execute.zygote_options import ZygoteOptions

_START_LIMIT_S = 90.0
"""For a zygote to be ready."""
_MAX_STARTS = 3


class Zygotes:
    """Those that live.

    Attributes:
        report: of the one that was ready last; empty before any was.
    """

    def __init__(
        self,
        options: ZygoteOptions,
        max_count: int,
        poller: Poller,
        on_ready: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        """None yet.

        Args:
            options: of each.
            max_count: >= 1.
            poller: calls for what they say.
            on_ready: called whenever one is ready.
            fail: called with the reason when none can be had.
        """
        self.report: dict[str, Any] = {}
        self._options = options
        self._max_count = max_count
        self._poller = poller
        self._on_ready = on_ready
        self._fail = fail
        self._zygotes: list[ZygoteProcess] = []
        self._start_deadline = math.inf
        self._num_failed_starts = 0

    @property
    def pids(self) -> list[int]:
        """Of all."""
        return [zygote.pid for zygote in self._zygotes]

    @property
    def deadline(self) -> float:
        """When those that start have to be ready, by the monotonic clock."""
        return (
            self._start_deadline if any(not zygote.report for zygote in self._zygotes) else math.inf
        )

    def idlest(self) -> ZygoteProcess | None:
        """The ready one with the fewest requests; None if none is ready."""
        return min(
            (zygote for zygote in self._zygotes if zygote.report),
            key=lambda zygote: zygote.num_cloning,
            default=None,
        )

    def start(self) -> None:
        """Start one."""
        try:
            zygote = ZygoteProcess(self._options)
        except OSError as error:
            self._fail(str(error))
        else:
            self._start_deadline = time.monotonic() + _START_LIMIT_S
            self._zygotes.append(zygote)
            self._poller.watch(zygote.sock.fileno(), lambda _: self._hear(zygote))

    def start_another(self) -> None:
        """Start one more for programs that wait, if there may be more and none is starting."""
        if len(self._zygotes) < self._max_count and all(zygote.report for zygote in self._zygotes):
            self.start()

    def end(self, zygote: ZygoteProcess) -> None:
        """End one, if it has not ended; start another if it was the last."""
        if zygote not in self._zygotes:
            return
        self._poller.unwatch(zygote.sock.fileno())
        self._zygotes.remove(zygote)
        zygote.end()
        if not zygote.report:
            self._num_failed_starts += 1
            if self._num_failed_starts >= _MAX_STARTS:
                self._fail("the process that programs are cloned from ended before it was ready")
        if not self._zygotes:
            self.start()

    def end_late(self) -> None:
        """End those that should have been ready by now."""
        if time.monotonic() > self.deadline:
            for zygote in [zygote for zygote in self._zygotes if not zygote.report]:
                self.end(zygote)

    def _hear(self, zygote: ZygoteProcess) -> None:
        was_ready = zygote.report is not None
        if not zygote.receive():
            self.end(zygote)
        elif zygote.report and "failed" in zygote.report:
            self._fail(str(zygote.report["failed"]))
        elif zygote.report and not was_ready:
            self._num_failed_starts = 0
            self.report = zygote.report
            self._on_ready()
