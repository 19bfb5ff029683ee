"""The supervisor of an `Executor`: an event loop that has programs run in clones.

A program is cloned from a process that has executed the program's beginning. The supervisor is one
thread, and the parent of all processes below it. It never executes a program itself. It decides
which process a program is cloned from, enforces the time limit, judges how the program ended, and
keeps the snapshots.
"""

import math
import os
import select
import signal
import sys
import time
from collections import deque
from dataclasses import asdict
from typing import Any

from rstar_fast.verify.base import Observation, Status
from rstar_fast.verify.execute import failures, framing
from rstar_fast.verify.execute.supervisor.beginnings import Beginnings
from rstar_fast.verify.execute.supervisor.clone import Clone, CloneState
from rstar_fast.verify.execute.supervisor.job import Job
from rstar_fast.verify.execute.supervisor.memory import max_programs
from rstar_fast.verify.execute.supervisor.outcomes import Outcomes
from rstar_fast.verify.execute.supervisor.poller import Poller
from rstar_fast.verify.execute.supervisor.snapshots import Snapshots
from rstar_fast.verify.execute.supervisor.strays import Strays
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.execute.supervisor.zygotes import Zygotes
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import FrameError
from rstar_fast.verify.pool.worker import Channel

_BIRTH_LIMIT_S = 10.0
"""Seconds in which a requested clone has to greet. After that its parent is ended."""
_MAX_LOSSES = 1
"""Number of times that a program is tried again because a process for it ended."""
_MAX_SNAPSHOTS = 1024
_MAX_OUTCOMES = 8192
_MIN_TIME_S = 0.02
"""Seconds that every piece of a program gets, even if the program has used up its time."""


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
        """Prepare the loop. `run` starts it.

        Args:
            channel: Pipes to the main process.
            isolation: Outcome of `namespaces.enter`.
            init_pid: Process id of the init of the process namespace. None if there is none.
            workers: Largest number of programs at once, >= 1.
            snapshot_bytes: Memory for snapshots, bytes. 0 keeps none.
            options: Options of the zygotes.
        """
        self._channel = channel
        self._isolation = isolation
        self._init_pid = init_pid
        self._options = options
        self._max_running = max_programs(workers, options.memory_bytes, snapshot_bytes)
        self._is_ready = False
        self._poller = Poller()
        max_zygotes = min(workers, len(os.sched_getaffinity(0)))
        self._zygotes = Zygotes(options, max_zygotes, self._poller, self._get_ready, self._give_up)
        self._queue: deque[Job] = deque()
        self._running: dict[Clone, Job] = {}
        self._snapshots = Snapshots(snapshot_bytes, _MAX_SNAPSHOTS)
        self._outcomes = Outcomes(_MAX_OUTCOMES)
        self._beginnings = Beginnings(self._snapshots, self._outcomes, self._queue)
        self._clones: dict[int, Clone] = {}
        self._strays = Strays()

    def run(self) -> None:
        """Serve until the main process is gone."""
        self._poller.watch(self._channel.input_fd, lambda _: self._take_requests())
        self._zygotes.start()
        while True:
            self._start_programs()
            self._poller.poll(self._max_wait_s())
            self._end_late()
            self._zygotes.end_late()
            if self._strays.due:
                known_pids = [*self._clones, *self._zygotes.pids, self._init_pid]
                self._strays.sweep(known_pids, more_may_come=bool(self._running))

    def _max_wait_s(self) -> float | None:
        """Return the seconds until something is late, or None if nothing can be."""
        deadlines = (clone.deadline for clone in self._running)
        earliest = min(self._zygotes.deadline, self._strays.deadline, *deadlines)
        return max(0.0, earliest - time.monotonic()) if earliest < math.inf else None

    # Talking to the main process.

    def _take_requests(self) -> None:
        for work_id, request in self._channel.receive_all():
            if "steps" in request:
                self._queue.append(Job(tuple(request["steps"]), work_id))
            else:
                self._channel.send(work_id, self._report())

    def _report(self) -> dict[str, Any]:
        waiting = [clone.pid for clone in self._clones.values() if clone not in self._running]
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
                "snapshots": waiting,
            },
        }

    def _get_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._channel.send(0, {})

    def _give_up(self, reason: str) -> None:
        """End this process.

        If it was ready before, the main process starts another supervisor. Otherwise the main
        process is told the reason, and fails the programs that wait.
        """
        if not self._is_ready:
            self._channel.send(0, {"failed": reason})
        sys.exit(1)

    def _finish(self, job: Job, observation: Observation) -> None:
        """Send an observation to the main process.

        A builder's observation is nobody's: the jobs that wait for the builder go on instead.
        """
        if job.work_id is not None:
            self._channel.send(job.work_id, asdict(observation))
        else:
            self._beginnings.resume(job)

    # Starting programs.

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
        parent, executed = self._beginnings.origin(job, zygote)
        if parent is None:
            return
        keep = framing.KEEP if self._snapshots.enabled and job.stays_open else 0
        flags = framing.CHECK if job.known_failure else keep
        try:
            clone = Clone(parent, framing.pack_request(job.source[len(executed) :], flags))
        except OSError:
            self._lost(job, parent)
            return
        clone.deadline = time.monotonic() + _BIRTH_LIMIT_S
        self._running[clone] = job
        self._strays.expect()
        self._poller.watch(clone.sock.fileno(), lambda events: self._hear(clone, events))
        if not clone.send():
            self._poller.watch_for_room(clone.sock.fileno(), True)

    # Hearing from clones.

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
        """Start the time of a clone that has greeted. Returns False if it is an impostor."""
        if pid in self._clones:
            # A snapshot has greeted itself instead of being cloned.
            clone.disown_process()
            self._clones[pid].kill()
            self._hung_up(clone)
            return False
        clone.parent.num_cloning -= 1
        self._clones[pid] = clone
        time_left_s = max(self._options.wall_s - clone.elapsed_s, _MIN_TIME_S)
        clone.deadline = clone.begun_s + time_left_s
        return True

    def _answered(self, clone: Clone, reply: framing.Reply) -> None:
        job = self._running.pop(clone)
        wall_s = clone.age_s
        clone.elapsed_s += wall_s
        if reply.flags & framing.REPLAY:
            clone.kill()
            job.whole = True
            self._queue.appendleft(job)
            return
        observation = Observation(reply.status, reply.text, wall_s, reply.cpu_s, reply.peak_bytes)
        if reply.flags & framing.KEPT and clone.settle():
            for dropped in self._snapshots.put(job.source, clone):
                dropped.kill()
        else:
            clone.kill()
            if job.known_failure and reply.status is Status.OK:
                observation = job.known_failure
                self._outcomes.put(job.source, observation)
            elif reply.flags & framing.FINAL:
                self._outcomes.put(job.source, observation)
            elif job.stays_open:
                self._outcomes.put(job.source, None)
        self._finish(job, observation)

    def _misbehaved(self, clone: Clone) -> None:
        """End a clone that sent something malformed."""
        job = self._running.pop(clone, None)
        self._snapshots.remove(clone)
        clone.kill()
        if job:
            self._finish(job, failures.malformed("the process of the program", clone.age_s))

    # Ends of clones.

    def _hung_up(self, clone: Clone) -> None:
        if clone not in self._running:
            # It was killed, or it was a snapshot that died.
            self._snapshots.remove(clone)
            clone.kill()
            self._forget(clone)
            if clone.pid is not None:
                os.waitpid(clone.pid, 0)
        elif clone.pid is None:
            self._never_lived(clone)
        elif not self._exited(clone, clone.pid):
            # It closed its channel and goes on, so its end is seen by a process descriptor.
            self._poller.unwatch(clone.sock.fileno())
            pid, pidfd = clone.pid, os.pidfd_open(clone.pid)
            self._poller.watch(pidfd, lambda _: self._exited(clone, pid, pidfd))

    def _exited(self, clone: Clone, pid: int, pidfd: int | None = None) -> bool:
        """Judge a program that ended without an answer. Returns False if it has not ended."""
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if not ended:
            return False
        if pidfd is not None:
            self._poller.unwatch(pidfd)
            os.close(pidfd)
        job = self._running.pop(clone, None)
        if job:
            printed = clone.output.read()
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
                cpu_s = usage.ru_utime + usage.ru_stime
                failure = failures.timed_out(self._options.wall_s, printed, clone.age_s, cpu_s)
            else:
                failure = failures.crashed(status, usage, printed, clone.age_s)
            self._outcomes.put(job.source, failure)
            self._finish(job, failure)
        self._forget(clone)
        return True

    def _end_late(self) -> None:
        now = time.monotonic()
        for clone in [clone for clone in self._running if clone.deadline <= now]:
            if clone.pid is None:
                self._never_lived(clone)
                continue
            job = self._running.pop(clone)
            clone.kill()
            failure = failures.timed_out(self._options.wall_s, clone.output.read(), clone.age_s)
            self._outcomes.put(job.source, failure)
            self._finish(job, failure)

    def _never_lived(self, clone: Clone) -> None:
        """Give up a requested clone that has not greeted."""
        job = self._running.pop(clone)
        clone.parent.num_cloning -= 1
        self._forget(clone)
        self._lost(job, clone.parent)

    def _lost(self, job: Job, parent: ZygoteProcess | Clone) -> None:
        """End a process that could not be cloned, and try the job once more without it."""
        if isinstance(parent, Clone):
            self._snapshots.remove(parent)
            parent.kill()
        else:
            self._zygotes.end(parent)
        job.num_losses += 1
        if job.num_losses > _MAX_LOSSES:
            self._finish(job, failures.lost())
        else:
            self._queue.appendleft(job)

    def _forget(self, clone: Clone) -> None:
        self._poller.unwatch(clone.sock.fileno())
        clone.close()
        if clone.pid is not None:
            self._clones.pop(clone.pid, None)
