"""The supervisor of an `Executor`: an event loop that has programs run in clones.

A program is cloned from a process that has executed the program's beginning. The supervisor is one
thread, and the parent of all processes below it. It never executes a program itself. It decides
which process a program is cloned from, enforces the time limit, judges how the program ended, and
keeps the snapshots.
"""

import errno
import math
import os
import resource
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from rstar_fast.verify.base import Observation, Status
from rstar_fast.verify.execute import failures, framing
from rstar_fast.verify.execute.supervisor.approvals import Approvals
from rstar_fast.verify.execute.supervisor.beginnings import Beginnings
from rstar_fast.verify.execute.supervisor.clone import Clone, CloneState, Settling
from rstar_fast.verify.execute.supervisor.job import Job
from rstar_fast.verify.execute.supervisor.memory import max_programs
from rstar_fast.verify.execute.supervisor.outcomes import Outcomes
from rstar_fast.verify.execute.supervisor.poller import Poller
from rstar_fast.verify.execute.supervisor.script import Script, Streams, ended
from rstar_fast.verify.execute.supervisor.snapshots import Snapshots
from rstar_fast.verify.execute.supervisor.strays import Strays
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.execute.supervisor.zygotes import Zygotes
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.machine import usable_cores
from rstar_fast.verify.pool.wire import FrameError
from rstar_fast.verify.pool.worker import Channel

_BIRTH_LIMIT_S = 10.0
"""Seconds in which a requested clone has to greet. After that its parent is ended."""
_SLOW_BIRTH_S = 2.0
"""Seconds that every snapshot has for a birth, even if its program has used up its time."""
_SETTLING_LIMIT_S = 1.0
"""Seconds in which a clone that has answered has to wait. After that it is no snapshot."""
_SETTLING_INTERVAL_S = 0.001
"""Seconds between two looks at whether it does."""
_SHORTAGES = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors that say that there is no room for a process or its descriptors now."""
_SHORTAGE_PAUSE_S = 0.05
_SHORTAGE_LIMIT_S = 60.0
"""Seconds for which a program waits for such room."""
_MAX_LOOKS = 8
"""Number of snapshots that a sweep looks at again. A look takes the kernel 0.3 ms."""
_MAX_LOSSES = 1
"""Number of times that a program is tried again because a zygote for it ended."""
_MAX_SNAPSHOTS = 1024
_OTHER_FDS = 24
"""Descriptors that the supervisor has beside those of zygotes and clones."""
_FDS_OF_PROGRAM, _FDS_OF_SNAPSHOT, _FDS_OF_ZYGOTE = 5, 2, 3
_MAX_OUTCOMES, _MAX_OUTCOME_BYTES = 8192, 64 << 20
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
        max_zygotes = min(workers, usable_cores())
        self._approvals = Approvals(self._poller, options.threads, self._takes_birth)
        self._zygotes = Zygotes(
            options,
            max_zygotes,
            self._poller,
            self._approvals.watch,
            self._get_ready,
            self._give_up,
        )
        self._queue: deque[Job] = deque()
        self._running: dict[Clone, Job] = {}
        max_fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        fds_left = max_fds - _OTHER_FDS - _FDS_OF_ZYGOTE * max_zygotes
        # Programs that were ended keep theirs for a moment.
        room = (fds_left - 2 * _FDS_OF_PROGRAM * self._max_running) // _FDS_OF_SNAPSHOT
        self._snapshots = Snapshots(snapshot_bytes, max(0, min(_MAX_SNAPSHOTS, room)))
        self._outcomes = Outcomes(_MAX_OUTCOMES, _MAX_OUTCOME_BYTES)
        self._beginnings = Beginnings(self._snapshots, self._outcomes, self._queue)
        self._clones: dict[int, Clone] = {}
        self._settling: set[Clone] = set()
        self._woken: set[Clone] = set()
        self._resume_s = 0.0
        self._strays = Strays()

    def run(self) -> None:
        """Serve until the main process is gone."""
        self._poller.watch(self._channel.input_fd, lambda _: self._take_requests())
        self._zygotes.start()
        while True:
            self._start_programs()
            self._poller.poll(self._max_wait_s())
            if self._settling:
                # They have answered a moment ago, and may need this processor to go to sleep.
                os.sched_yield()
            for clone in list(self._settling):
                self._guarded(clone, self._settle)
            now = time.monotonic()
            for clone in self._running:
                if clone.streams and clone.streams.next_look_s <= now:
                    clone.streams.look()
            for clone in [clone for clone in self._running if clone.deadline <= now]:
                self._guarded(clone, self._end_late)
            self._zygotes.end_late()
            if self._strays.due:
                self._sweep()

    def _max_wait_s(self) -> float | None:
        """Return the seconds until something is late, or None if nothing can be."""
        if self._settling:
            return _SETTLING_INTERVAL_S
        now = time.monotonic()
        deadlines = [clone.deadline for clone in self._running]
        deadlines += [clone.streams.next_look_s for clone in self._running if clone.streams]
        if self._resume_s:
            deadlines.append(self._resume_s)
        earliest = min(self._zygotes.deadline, self._strays.deadline, *deadlines)
        return max(0.0, earliest - now) if earliest < math.inf else None

    def _guarded(self, clone: Clone, action: Callable[..., object], *arguments: int) -> None:
        """Do something about one clone. Whatever fails ends that clone only."""
        try:
            action(clone, *arguments)
        except Exception:
            self._misbehaved(clone)

    def _sweep(self) -> None:
        """End processes that nobody asked for, and snapshots that do not sleep."""
        snapshots = [clone for clone in self._woken if not clone.num_cloning][:_MAX_LOOKS]
        self._woken.difference_update(snapshots)
        for clone in snapshots:
            num_bytes = clone.look_again() if clone.state is CloneState.SNAPSHOT else None
            if num_bytes is None:
                self._snapshots.remove(clone)
                clone.kill()
            else:
                self._kill_all(self._snapshots.grow(clone, num_bytes))
        known_pids = [*self._clones, *self._zygotes.pids, self._init_pid]
        births_due = any(clone.pid is None for clone in self._running) or self._zygotes.births_due
        self._strays.sweep(known_pids, births_due, more_may_come=bool(self._running or self._woken))

    # Talking to the main process.

    def _take_requests(self) -> None:
        for work_id, request in self._channel.receive_all():
            if "steps" in request:
                self._queue.append(
                    Job(tuple(request["steps"]), work_id, wall_s=request.get("wall_s"))
                )
            elif "script" in request:
                self._queue.append(Job((), work_id, script=Script.of(request["script"])))
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
            # Not by asdict, which copies every value.
            fields = {name: getattr(observation, name) for name in observation.__slots__}
            self._channel.send(job.work_id, fields)
        else:
            self._beginnings.resume(job)

    # Starting programs.

    def _start_programs(self) -> None:
        if self._resume_s <= time.monotonic():
            self._resume_s = 0.0
        while (
            self._queue
            and len(self._running) < self._max_running
            and not self._resume_s
            and (zygote := self._zygotes.idlest())
        ):
            self._start(self._queue.popleft(), zygote)
        if self._queue:
            self._zygotes.start_another()

    def _start(self, job: Job, zygote: ZygoteProcess) -> None:
        parent, executed = self._beginnings.origin(job, zygote)
        if parent is None:
            return
        keep = self._snapshots.enabled and job.stays_open and not job.known_failure
        flags = framing.CHECK if job.known_failure else framing.KEEP if keep else 0
        try:
            if job.script:
                streams = Streams(job.script.stdin, self._options.output_chars)
                clone = Clone(parent, job.script.request(), False, streams)
            else:
                hidden = self._hidden(job, len(executed))
                request = framing.pack_request(job.source[len(executed) :], flags, hidden)
                clone = Clone(parent, request, keep)
        except OSError as error:
            if error.errno in _SHORTAGES:
                self._wait_for_room(job)
            else:
                self._lost(job, parent)
            return
        clone.deadline = time.monotonic() + _BIRTH_LIMIT_S
        if isinstance(parent, Clone):
            time_left_s = self._time_left_s(clone, job)
            clone.deadline = time.monotonic() + max(_SLOW_BIRTH_S, min(time_left_s, _BIRTH_LIMIT_S))
            self._woken.add(parent)
        self._running[clone] = job
        self._strays.expect()
        self._poller.watch(
            clone.sock.fileno(),
            lambda events: self._guarded(clone, self._hear, events),
        )
        if not clone.send():
            self._poller.watch_for_room(clone.sock.fileno(), True)

    def _hidden(self, job: Job, num_executed: int) -> int:
        """Return how many characters of what is left of a program the style does not show."""
        return max(0, job.num_hidden - num_executed) if self._options.style == "step" else 0

    def _time_left_s(self, clone: Clone, job: Job) -> float:
        return max(self._limit_s(job) - clone.elapsed_s - job.spent_s, _MIN_TIME_S)

    def _limit_s(self, job: Job) -> float:
        return self._options.wall_s if job.wall_s is None else job.wall_s

    def _wait_for_room(self, job: Job) -> None:
        """Make room for a process, and try a job again a little later."""
        now = time.monotonic()
        job.short_since_s = job.short_since_s or now
        self._kill_all(self._snapshots.drop_some())
        if now - job.short_since_s > _SHORTAGE_LIMIT_S:
            self._finish(job, failures.lost())
        else:
            self._queue.appendleft(job)
            self._resume_s = now + _SHORTAGE_PAUSE_S

    def _takes_birth(self, pid: int) -> bool:
        """Return whether a process may make a clone, and note that it does."""
        parent = self._clones.get(pid) or self._zygotes.get(pid)
        if not parent or not parent.births_due:
            return False
        parent.births_due -= 1
        return True

    # Hearing from clones.

    def _hear(self, clone: Clone, events: int) -> None:
        if events & select.EPOLLOUT and clone.send():
            self._poller.watch_for_room(clone.sock.fileno(), False)
        if not events & ~select.EPOLLOUT:
            return
        was_requested = clone.state is CloneState.REQUESTED
        try:
            is_there = clone.receive(self._clones)
        finally:
            if was_requested and clone.pid is not None:
                self._welcome(clone, clone.pid)
        if clone.was_refused:
            self._refused(clone)
        elif not is_there:
            self._hung_up(clone)
        elif clone.reply and clone in self._running:
            self._answered(clone, clone.reply)

    def _welcome(self, clone: Clone, pid: int) -> None:
        """Start the time of a clone that has greeted."""
        clone.parent.num_cloning -= 1
        self._clones[pid] = clone
        clone.deadline = clone.begun_s + self._time_left_s(clone, self._running[clone])

    def _refused(self, clone: Clone) -> None:
        """Give up a clone that could not be made. A snapshot may say so falsely, so it ends."""
        if isinstance(clone.parent, Clone):
            self._never_lived(clone)
            return
        job = self._running.pop(clone)
        clone.parent.num_cloning -= 1
        self._forget(clone)
        self._wait_for_room(job)

    def _answered(self, clone: Clone, reply: framing.Reply) -> None:
        job = self._running[clone]
        if reply.flags & framing.REPLAY:
            # Only what continues a snapshot may turn out to be no program of its own.
            if job.whole or not isinstance(clone.parent, Clone):
                raise FrameError("expected an observation, got a request to replay")
            del self._running[clone]
            job.spent_s += clone.age_s
            job.whole = True
            clone.kill()
            self._queue.appendleft(job)
        elif reply.flags & framing.KEPT and clone.keep:
            clone.deadline = min(clone.deadline, time.monotonic() + _SETTLING_LIMIT_S)
            self._settling.add(clone)
        else:
            self._accept(clone, reply, kept=False)

    def _settle(self, clone: Clone) -> None:
        """Take the reply of a clone once it sleeps. Until then, its time goes on."""
        settled = clone.settle()
        if settled is not Settling.BUSY and clone.reply:
            is_fit = settled is Settling.WAITS and clone.pid not in self._approvals.sharing
            self._accept(clone, clone.reply, kept=is_fit)

    def _accept(self, clone: Clone, reply: framing.Reply, kept: bool) -> None:
        job = self._running.pop(clone)
        self._settling.discard(clone)
        wall_s = clone.age_s
        clone.elapsed_s += wall_s + job.spent_s
        observation = Observation(reply.status, reply.text, wall_s, reply.cpu_s, reply.peak_bytes)
        if kept:
            self._kill_all(self._snapshots.put(job.source, clone))
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
        self._settling.discard(clone)
        self._snapshots.remove(clone)
        if clone.pid is None and clone in self._running:
            self._never_lived(clone)
            return
        clone.kill()
        job = self._running.pop(clone, None)
        if job:
            self._finish(job, failures.malformed("the process of the program", clone.age_s))

    # Ends of clones.

    def _hung_up(self, clone: Clone) -> None:
        if clone in self._settling and clone.reply:
            self._accept(clone, clone.reply, kept=False)
        if clone not in self._running:
            # It was killed, or it was a snapshot that died.
            self._snapshots.remove(clone)
            clone.kill()
            if clone.pid is not None:
                clone.wait()
            self._forget(clone)
        elif clone.pid is None:
            self._never_lived(clone)
        elif not self._exited(clone):
            # It closed its channel and goes on, so its end is seen by its process descriptor.
            self._poller.unwatch(clone.sock.fileno())
            self._poller.watch(clone.pidfd, lambda _: self._guarded(clone, self._exited))

    def _exited(self, clone: Clone) -> bool:
        """Judge a program that ended without an answer. Returns False if it has not ended."""
        end = clone.wait(os.WNOHANG)
        if not end:
            return False
        status, usage = end
        job = self._running.pop(clone, None)
        if job and clone.streams:
            self._finish_script(job, clone, ended(status, usage))
        printed = clone.output.read() if job else ""
        self._poller.unwatch(clone.pidfd)
        self._forget(clone)
        if job and not job.script:
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
                cpu_s = usage.ru_utime + usage.ru_stime
                failure = failures.timed_out(self._limit_s(job), printed, clone.age_s, cpu_s)
            else:
                failure = failures.crashed(status, usage, printed, clone.age_s)
            self._end_with(job, failure)
        return True

    def _end_late(self, clone: Clone) -> None:
        if clone.pid is None:
            self._never_lived(clone)
        elif clone in self._settling and clone.reply:
            # It goes on after its answer.
            self._accept(clone, clone.reply, kept=False)
        else:
            job = self._running.pop(clone)
            clone.kill()
            if clone.streams:
                end = {"status": Status.TIMEOUT, "exit_code": None, "cpu_s": 0.0, "peak_bytes": 0}
                self._finish_script(job, clone, end)
                return
            limit_s = self._limit_s(job)
            failure = failures.timed_out(limit_s, clone.output.read(), clone.age_s)
            self._end_with(job, failure)

    def _end_with(self, job: Job, failure: Observation) -> None:
        if job.wall_s is None:
            # A limit of its own says nothing about other programs that begin so.
            self._outcomes.put(job.source, failure)
        self._finish(job, failure)

    def _finish_script(self, job: Job, clone: Clone, end: dict[str, Any]) -> None:
        """Send the result of a script that has ended, or that is killed now."""
        assert clone.streams and job.work_id is not None
        written = clone.streams.written()
        self._channel.send(job.work_id, end | written | {"wall_s": clone.age_s})

    def _never_lived(self, clone: Clone) -> None:
        """Give up a requested clone that has not greeted."""
        job = self._running.pop(clone)
        job.spent_s += clone.birth_charge_s
        clone.parent.num_cloning -= 1
        self._forget(clone)
        self._lost(job, clone.parent)

    def _lost(self, job: Job, parent: ZygoteProcess | Clone) -> None:
        """End a process that could not be cloned, and try the job without it."""
        if isinstance(parent, Clone):
            self._snapshots.remove(parent)
            parent.kill()
            job.whole = True
        else:
            self._zygotes.end(parent)
            job.num_losses += 1
        if job.num_losses > _MAX_LOSSES:
            self._finish(job, failures.lost())
        else:
            self._queue.appendleft(job)

    def _kill_all(self, clones: Iterable[Clone]) -> None:
        for clone in clones:
            clone.kill()

    def _forget(self, clone: Clone) -> None:
        self._poller.unwatch(clone.sock.fileno())
        self._woken.discard(clone)
        if clone.pid is not None:
            self._clones.pop(clone.pid, None)
            self._approvals.sharing.discard(clone.pid)
        clone.close()
