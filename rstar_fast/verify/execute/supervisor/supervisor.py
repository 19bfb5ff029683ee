"""Runs programs for an `Executor`, each in a process cloned from one that has executed its beginning.

One thread; the parent of every process below. It never touches a program itself: it decides where each is cloned from, enforces
the time, judges how it ended, and keeps the snapshots.
"""

import contextlib
import math
import os
import resource
import select
import signal
import sys
import time
from collections import deque
from typing import Any

from rstar_fast.verify.base import Status
from rstar_fast.verify.execute import framing
from rstar_fast.verify.execute.supervisor.clone import Clone, CloneState
from rstar_fast.verify.execute.supervisor.job import Job, Outcomes
from rstar_fast.verify.execute.supervisor.poller import Poller
from rstar_fast.verify.execute.supervisor.snapshots import Snapshots
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.execute.supervisor.zygotes import Zygotes
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import FrameError
from rstar_fast.verify.pool.worker import Channel, die_with
from rstar_fast.verify.sandbox import namespaces

_BIRTH_LIMIT_S = 10.0
"""For a clone to greet; its parent is replaced after that."""
_MAX_LOSSES = 1
_SWEEP_INTERVAL_S = 1.0
_MAX_SNAPSHOTS = 1024
_MAX_OUTCOMES = 8192
_MIN_TIME_S = 0.02
"""For a piece whose program has no time left."""


class Supervisor:
    """The event loop over the main process, the zygotes and the clones."""

    def __init__(
        self,
        channel: Channel,
        isolation: dict[str, str],
        init_pid: int | None,
        workers: int,
        snapshot_bytes: int,
        options: ZygoteOptions,
    ) -> None:
        self._channel = channel
        self._isolation = isolation
        self._init_pid = init_pid
        self._options = options
        self._max_running = _admitted(workers, options.memory_bytes, snapshot_bytes)
        self._greeted = False
        self._poller = Poller()
        max_zygotes = min(workers, len(os.sched_getaffinity(0)))
        self._zygotes = Zygotes(options, max_zygotes, self._poller, self._greet, self._fail)
        self._queue: deque[Job] = deque()
        self._running: dict[Clone, tuple[Job, float]] = {}
        self._building: dict[str, Job] = {}
        self._snapshots = Snapshots(snapshot_bytes, _MAX_SNAPSHOTS)
        self._outcomes = Outcomes(_MAX_OUTCOMES)
        self._clones: dict[int, Clone] = {}
        self._strange_pids: set[int] = set()
        self._next_sweep = math.inf

    def run(self) -> None:
        """Serve until the main process is gone."""
        self._poller.watch(self._channel.input_fd, lambda _: self._take_work())
        self._zygotes.start()
        while True:
            self._start_programs()
            self._poller.poll(self._patience_s())
            self._end_late()
            self._zygotes.end_late()
            self._sweep()

    # The main process.

    def _take_work(self) -> None:
        for work_id, request in self._channel.receive_all():
            if "steps" in request:
                self._queue.append(Job(tuple(request["steps"]), work_id))
            else:
                self._channel.send(work_id, self._report())

    def _report(self) -> dict[str, Any]:
        return {
            "isolation": self._isolation | self._zygotes.report["isolation"],
            "native": self._options.native,
            "num_huge_pages": self._zygotes.report["num_huge_pages"],
            "programs_at_once": self._max_running,
            "num_snapshots": len(self._snapshots),
            "snapshot_bytes": self._snapshots.num_bytes,
            "pids": {
                "zygotes": self._zygotes.pids,
                "programs": [clone.pid for clone in self._running if clone.pid is not None],
                "snapshots": [
                    clone.pid for clone in self._clones.values() if clone not in self._running
                ],
            },
        }

    def _greet(self) -> None:
        if not self._greeted:
            self._greeted = True
            self._channel.send(0, {})

    def _fail(self, reason: str) -> None:
        """Give up; the main process starts another supervisor, or fails what waits if this one never was ready."""
        if not self._greeted:
            self._channel.send(0, {"failed": reason})
        sys.exit(1)

    # Programs.

    def _start_programs(self) -> None:
        while (
            self._queue
            and len(self._running) < self._max_running
            and (zygote := self._zygotes.idlest())
        ):
            self._start(self._queue.popleft(), zygote)
        if self._queue:
            self._zygotes.start_another()

    def _start(self, job: Job, zygote: ZygoteProcess) -> None:
        parent, executed = self._origin(job, zygote)
        if parent is None:
            return
        keep = framing.KEEP if self._snapshots.enabled and job.stays_open else 0
        flags = framing.CHECK if job.foregone else keep
        try:
            clone = Clone(parent, framing.pack_request(job.source[len(executed) :], flags))
        except OSError:
            self._lost(job, parent)
            return
        now = time.monotonic()
        self._running[clone] = (job, now + _BIRTH_LIMIT_S)
        self._next_sweep = min(self._next_sweep, now + _SWEEP_INTERVAL_S)
        self._poller.watch(clone.sock.fileno(), lambda events: self._hear(clone, events))
        if not clone.send():
            self._poller.watch_for_room(clone.sock.fileno(), True)

    def _origin(self, job: Job, zygote: ZygoteProcess) -> tuple[ZygoteProcess | Clone | None, str]:
        """The process to clone for a job, and what that has executed; None if the job now waits for another."""
        if job.whole or not self._snapshots.enabled:
            return zygote, ""
        job.foregone = None
        for num_steps, source in job.beginnings():
            clone = self._snapshots.get(source)
            if clone:
                return clone, source
            if source in self._outcomes:
                job.foregone = self._outcomes[source]
                if job.foregone:
                    return zygote, ""
            elif job.work_id is not None and not job.has_waited:
                self._wait_for(source, job.steps[:num_steps], job)
                return None, ""
        return zygote, ""

    def _wait_for(self, source: str, steps: tuple[str, ...], job: Job) -> None:
        builder = self._building.get(source)
        if not builder:
            builder = self._building[source] = Job(steps, None)
            self._queue.appendleft(builder)
        job.has_waited = True
        builder.waiting.append(job)

    def _hear(self, clone: Clone, events: int) -> None:
        if events & select.EPOLLOUT and clone.send():
            self._poller.watch_for_room(clone.sock.fileno(), False)
        if not events & ~select.EPOLLOUT:
            return
        was_requested = clone.state is CloneState.REQUESTED
        try:
            hung_up = not clone.receive()
        except FrameError:
            self._misbehaved(clone)
            return
        if was_requested and clone.pid is not None and not self._welcome(clone, clone.pid):
            return
        if hung_up:
            self._hung_up(clone)
        elif clone.reply and clone in self._running:
            self._answered(clone, clone.reply)

    def _welcome(self, clone: Clone, pid: int) -> bool:
        if pid in self._clones:  # a snapshot that answers instead of being cloned
            clone.disown_process()
            self._end(self._clones[pid])
            self._hung_up(clone)
            return False
        clone.parent.num_cloning -= 1
        self._clones[pid] = clone
        job, _ = self._running[clone]
        self._running[clone] = (
            job,
            clone.begun_s + max(self._options.wall_s - clone.elapsed_s, _MIN_TIME_S),
        )
        return True

    def _answered(self, clone: Clone, reply: framing.Reply) -> None:
        job, _ = self._running.pop(clone)
        wall_s = time.monotonic() - clone.begun_s
        clone.elapsed_s += wall_s
        if reply.flags & framing.REPLAY:
            self._end(clone)
            job.whole = True
            self._queue.appendleft(job)
            return
        answer = _answer(reply.status, reply.text, wall_s, reply.cpu_s, reply.peak_bytes)
        if reply.flags & framing.KEPT and clone.settle():
            for other in self._snapshots.put(job.source, clone):
                self._end(other)
        else:
            self._end(clone)
            if job.foregone and reply.status is Status.OK:
                answer = job.foregone
                self._outcomes.put(job.source, answer)
            elif reply.flags & framing.FINAL:
                self._outcomes.put(job.source, answer)
            elif job.stays_open:
                self._outcomes.put(job.source, None)
        self._finish(job, answer)

    def _finish(self, job: Job, answer: dict[str, Any]) -> None:
        if job.work_id is not None:
            self._channel.send(job.work_id, answer)
        else:
            del self._building[job.source]
            self._queue.extendleft(reversed(job.waiting))

    def _misbehaved(self, clone: Clone) -> None:
        """It sent what no clone sends."""
        running = self._running.pop(clone, None)
        self._snapshots.remove(clone)
        self._end(clone)
        if running:
            text = "ProtocolError: the process of the program sent a malformed answer"
            self._finish(
                running[0], _answer(Status.PROTOCOL, text, time.monotonic() - clone.begun_s)
            )

    def _hung_up(self, clone: Clone) -> None:
        fd = clone.sock.fileno()
        if clone not in self._running:  # it was told to end, or a snapshot died
            self._snapshots.remove(clone)
            self._end(clone)
            self._forget(clone, fd)
            if clone.pid is not None:
                os.waitpid(clone.pid, 0)
        elif clone.pid is None:
            job, _ = self._running.pop(clone)
            clone.parent.num_cloning -= 1
            self._forget(clone, fd)
            self._lost(job, clone.parent)
        elif not self._exited(clone, clone.pid):  # it closed its channel and goes on
            self._poller.unwatch(fd)
            pid, pidfd = clone.pid, os.pidfd_open(clone.pid)
            self._poller.watch(pidfd, lambda _: self._exited(clone, pid, pidfd))

    def _exited(self, clone: Clone, pid: int, pidfd: int | None = None) -> bool:
        """Judge a program that ended without an answer; False if it has not ended."""
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if not ended:
            return False
        if pidfd is not None:
            self._poller.unwatch(pidfd)
            os.close(pidfd)
        self._forget(clone, clone.sock.fileno())
        running = self._running.pop(clone, None)
        if running:
            job, _ = running
            wall_s, cpu_s = time.monotonic() - clone.begun_s, usage.ru_utime + usage.ru_stime
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
                answer = self._timeout(wall_s, cpu_s)
            else:
                answer = _answer(
                    Status.CRASH,
                    f"CrashError: {_how_it_ended(status)}",
                    wall_s,
                    cpu_s,
                    usage.ru_maxrss << 10,
                )
            self._outcomes.put(job.source, answer)
            self._finish(job, answer)
        return True

    def _lost(self, job: Job, parent: ZygoteProcess | Clone) -> None:
        """A process was not cloned: what it should be cloned from is no good any more."""
        if isinstance(parent, Clone):
            self._snapshots.remove(parent)
            self._end(parent)
        else:
            self._zygotes.end(parent)
        job.num_losses += 1
        if job.num_losses > _MAX_LOSSES:
            self._finish(
                job,
                _answer(Status.LOST, "LostError: the processes that were to run the program ended"),
            )
        else:
            self._queue.appendleft(job)

    # Ends.

    def _end_late(self) -> None:
        now = time.monotonic()
        for clone, (job, deadline) in list(self._running.items()):
            if deadline > now:
                continue
            del self._running[clone]
            if clone.pid is not None:
                self._end(clone)
                answer = self._timeout(now - clone.begun_s, 0.0)
                self._outcomes.put(job.source, answer)
                self._finish(job, answer)
            else:
                clone.parent.num_cloning -= 1
                self._forget(clone, clone.sock.fileno())
                self._lost(job, clone.parent)

    def _timeout(self, wall_s: float, cpu_s: float) -> dict[str, Any]:
        return _answer(
            Status.TIMEOUT,
            f"TimeoutError: not finished after {self._options.wall_s:g} s",
            wall_s,
            cpu_s,
        )

    def _end(self, clone: Clone) -> None:
        """Kill a clone; it is forgotten once it hangs up."""
        clone.kill()

    def _forget(self, clone: Clone, fd: int) -> None:
        self._poller.unwatch(fd)
        clone.sock.close()
        if clone.pid is not None:
            self._clones.pop(clone.pid, None)

    def _sweep(self) -> None:
        """End processes below that no program accounts for: native code can make some past everything."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/proc/self/task/{os.getpid()}/children") as children,
        ):
            strange = {int(pid) for pid in children.read().split()}.difference(
                self._clones, self._zygotes.pids, [self._init_pid]
            )
            for pid in strange & self._strange_pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            self._strange_pids = strange - self._strange_pids
        self._next_sweep = (
            now + _SWEEP_INTERVAL_S if self._running or self._strange_pids else math.inf
        )

    def _patience_s(self) -> float | None:
        moment = min(
            self._zygotes.deadline,
            self._next_sweep,
            *(deadline for _, deadline in self._running.values()),
        )
        return max(0.0, moment - time.monotonic()) if moment < math.inf else None


def _answer(
    status: Status, text: str, wall_s: float = 0.0, cpu_s: float = 0.0, peak_bytes: int = 0
) -> dict[str, Any]:
    return {
        "status": status,
        "text": text,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_bytes": peak_bytes,
    }


def _how_it_ended(wait_status: int) -> str:
    if os.WIFSIGNALED(wait_status):
        return f"signal {signal.Signals(os.WTERMSIG(wait_status)).name}"
    return f"exit status {os.WEXITSTATUS(wait_status)}"


def _admitted(workers: int, memory_bytes: int, snapshot_bytes: int) -> int:
    """How many programs may run at once, so that all fit in memory if each takes all it may."""
    available = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as meminfo:
        available = [
            int(next(line for line in meminfo if line.startswith("MemAvailable:")).split()[1]) << 10
        ]
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as limit:
        available.append(int(limit.read()))
    return max(1, min(workers, (min(available) - snapshot_bytes) // memory_bytes))


def main(parent_pid: int) -> None:
    """Serve an `Executor`."""
    die_with(parent_pid)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    channel = Channel()
    _, options = channel.receive()
    isolation, init_pid = namespaces.enter()
    zygote_options = ZygoteOptions(**options["zygote"])
    Supervisor(
        channel, isolation, init_pid, options["workers"], options["snapshot_bytes"], zygote_options
    ).run()
