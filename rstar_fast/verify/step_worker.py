"""The worker that runs programs: the math libraries are loaded once, every program runs in a fork of its own."""

import contextlib
import gc
import math
import os
import random
import select
import signal
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from rstar_fast.verify import program
from rstar_fast.verify.base import Status
from rstar_fast.verify.guard import Guard, limit_worker, readable_roots
from rstar_fast.verify.worker import Channel, die_with, prctl, serve

_PR_SET_CHILD_SUBREAPER = 36
_REPLY = struct.Struct("!BI")
"""What a program's process writes back: index into `_REPLY_STATUS`, length of the UTF-8 text that follows."""
_REPLY_STATUS = (Status.OK, Status.ERROR, Status.MEMORY)
_MAX_REPLY_BYTES = _REPLY.size + 4 * (program.MAX_OBSERVATION_CHARS + 3)

_WARM_UP = """
x = sympy.symbols("x")
sympy.solve(sympy.Eq(x**2 - 5 * x + 6, 0), x)
sympy.simplify(sympy.sin(x) ** 2 + sympy.cos(x) ** 2 + sympy.sqrt(8))
sympy.integrate(x * sympy.exp(x), x)
sympy.N(sympy.factor(x**2 - 1).subs(x, sympy.pi), 20)
"""


@dataclass(frozen=True, slots=True)
class _Options:
    style: Literal["stdout", "reference"]
    seed: int
    preload: tuple[str, ...]
    wall_s: float
    memory_bytes: int
    output_chars: int


@dataclass(frozen=True, slots=True)
class _Ending:
    """How the process of a program ended; `reply` is None where it was killed for its time."""

    reply: bytes | None
    wait_status: int
    cpu_s: float
    peak_bytes: int


class StepWorker:
    """Runs one program at a time, each in a fork of this process."""

    def __init__(self, options: dict[str, Any], channel: Channel) -> None:
        """Load and warm the libraries, fix the seeds, and freeze what the programs will share."""
        self._options = _Options(**{**options, "preload": tuple(options["preload"])})
        self._channel = channel
        self._pid = os.getpid()
        _preload(self._options.preload, self._options.seed)
        self._roots = readable_roots()
        sys.path[:] = [path for path in sys.path if os.path.join(os.path.realpath(path), "").startswith(self._roots)]
        sys.argv = [""]
        sys.dont_write_bytecode = True
        limit_worker()
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
        gc.collect()
        gc.freeze()

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The observation of the program made of `request["steps"]`, as plain values."""
        begin = time.monotonic()
        ending = self._run(request["steps"], begin + self._options.wall_s)
        wall_s = time.monotonic() - begin
        status, text = self._judge(ending)
        return {"status": status, "text": text, "wall_s": wall_s, "cpu_s": ending.cpu_s, "peak_bytes": ending.peak_bytes}

    def _run(self, steps: list[str], deadline: float) -> _Ending:
        reply_fd, child_reply_fd = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reply_fd)
                self._be_program(steps, child_reply_fd)
            finally:
                os._exit(1)
        os.close(child_reply_fd)
        try:
            reply = self._await_reply(pid, reply_fd, deadline)
        finally:
            os.close(reply_fd)
            # The group is missing while the child has not come to its setsid yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.killpg(pid, signal.SIGKILL)
            _, wait_status, usage = os.wait4(pid, 0)
            _kill_strays()
        return _Ending(reply, wait_status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def _await_reply(self, pid: int, reply_fd: int, deadline: float) -> bytes | None:
        """What the program answered, "" or a part of it if it ended early; None once the deadline passed."""
        poll = select.poll()
        poll.register(reply_fd, select.POLLIN)
        poll.register(self._channel.input_fd, 0)  # hang-up only: the main process is gone
        reply = b""
        while (patience_s := deadline - time.monotonic()) > 0:
            for fd, _ in poll.poll(math.ceil(patience_s * 1000)):
                if fd != reply_fd:
                    os._exit(0)
                data = os.read(reply_fd, _MAX_REPLY_BYTES + 1)
                reply += data
                if not data:
                    return reply if _ended_before(pid, deadline) else None
                if len(reply) >= _REPLY.size and len(reply) >= _REPLY.size + _REPLY.unpack_from(reply)[1]:
                    return reply
                if len(reply) > _MAX_REPLY_BYTES:
                    return reply
        return None

    def _judge(self, ending: _Ending) -> tuple[Status, str]:
        reply = ending.reply
        cpu_limit_hit = os.WIFSIGNALED(ending.wait_status) and os.WTERMSIG(ending.wait_status) == signal.SIGXCPU
        if reply is None or (not reply and cpu_limit_hit):
            return Status.TIMEOUT, f"TimeoutError: not finished after {self._options.wall_s:g} s"
        if not reply:
            return Status.CRASH, f"CrashError: {_how_it_ended(ending.wait_status)}"
        if len(reply) >= _REPLY.size:
            index, length = _REPLY.unpack_from(reply)
            if index < len(_REPLY_STATUS) and len(reply) == _REPLY.size + length <= _MAX_REPLY_BYTES:
                return _REPLY_STATUS[index], reply[_REPLY.size :].decode("utf-8", "replace")
        return Status.PROTOCOL, "ProtocolError: the process of the program sent a malformed answer"

    def _be_program(self, steps: list[str], reply_fd: int) -> None:
        os.setsid()
        die_with(self._pid)
        self._channel.close()
        random.seed(self._options.seed)  # os.fork has reseeded it
        stdout = program.Capture(self._options.output_chars)
        guard = Guard(self._options.memory_bytes, math.ceil(self._options.wall_s) + 1, self._roots)
        status = Status.OK
        try:
            text = program.run(program.source_of(steps), self._options.style, stdout)
        except BaseException as error:
            if isinstance(error, MemoryError):
                status = Status.MEMORY
                guard.release_reserve()
            else:
                status = Status.ERROR
            text = program.describe(error)
        body = text.encode("utf-8", "replace")
        os.write(reply_fd, _REPLY.pack(_REPLY_STATUS.index(status), len(body)) + body)
        os._exit(0)


def _preload(modules: Iterable[str], seed: int) -> None:
    loaded: dict[str, Any] = {}
    for name in modules:
        with contextlib.suppress(Exception):
            loaded[name] = import_module(name)
    if "numpy" in loaded:
        loaded["numpy"].random.seed(seed % 2**32)
    if "sympy" in loaded:
        with contextlib.suppress(Exception):
            exec(_WARM_UP, {"sympy": loaded["sympy"]})
        loaded["sympy"].core.random.seed(seed)


def _ended_before(pid: int, deadline: float) -> bool:
    """Wait for a process that closed its reply pipe, without reaping it."""
    pause_s = 0.0002
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.02)
    return True


def _kill_strays() -> None:
    """Kill what a program left behind in a session of its own: as the subreaper, this process is its parent now."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return
        try:
            with open("/proc/thread-self/children", "rb") as children:
                pids = children.read().split()
        except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.001)


def _how_it_ended(wait_status: int) -> str:
    if os.WIFSIGNALED(wait_status):
        return f"signal {signal.Signals(os.WTERMSIG(wait_status)).name}"
    return f"exit status {os.WEXITSTATUS(wait_status)}"


def main(parent_pid: int) -> None:
    """Serve an `Executor`."""
    serve(parent_pid, StepWorker)
