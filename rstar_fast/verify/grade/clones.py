"""Work in confined clones: each piece in a process of its own, which was made ready beforehand.

    pool --exec--> worker --fork--> zygote --clone--> clone, a child of the worker

The zygote loads all that the work needs and locks itself down, as that of programs does. A clone
does one piece of work, and then the worker ends it with all that it started. So nothing that an
answer does reaches another answer, and a late one costs no restart. Runs in workers.
"""

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from rstar_fast.errors import ExecutorError
from rstar_fast.verify.base import Status
from rstar_fast.verify.execute.child.cloning import silence
from rstar_fast.verify.execute.child.confining import confine
from rstar_fast.verify.execute.framing import CHANNEL_FD
from rstar_fast.verify.pool.wire import FrameError, FrameReader, encode_frame, first_payload
from rstar_fast.verify.sandbox import namespaces
from rstar_fast.verify.sandbox.children import children
from rstar_fast.verify.sandbox.kernel import PR_SET_PDEATHSIG, prctl, syscall
from rstar_fast.verify.sandbox.lockdown import Confinement
from rstar_fast.verify.sandbox.seccomp import CLONE_FLAGS

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""Function from the payload of a piece of work to the payload of its result."""
Preparation = Callable[[dict[str, Any]], object]
"""Function that is given a piece of work before the clone is made, and fills caches for it."""

GRACE_S = 1.0
"""Seconds for which the pool waits longer than the worker, which ends late clones itself."""

_CONFINEMENT = Confinement(memory_bytes=4 << 30, max_processes=4096)
"""Limits of a clone. Its processor time has none because its wall time is limited."""
_MAX_THREADS = 32
_RETRY_S = 0.05


def in_clones(make: Callable[[], tuple[Preparation, Work]], limit_s: float) -> Work:
    """Start a zygote in this process, which has one thread, and return work that is done in clones.

    Args:
        make: Function that loads what the work needs, and returns two functions. The zygote calls
            the first one before each clone, so that later work finds what it cached. It must not
            touch what is not trusted, such as an answer. What it raises is ignored. The clone calls
            the second one.
        limit_s: Seconds of wall time in which a clone has to answer.

    Returns:
        Work whose result is `{"correct": False, "status": ...}` where the clone gave none.

    Raises:
        ExecutorError: The zygote could not be made ready.
    """
    return _Zygote(make, limit_s).work


class _Zygote:
    """The zygote and its clones as the worker sees them."""

    def __init__(self, make: Callable[[], tuple[Preparation, Work]], limit_s: float) -> None:
        self._limit_s = limit_s
        _, init_pid = namespaces.enter()
        self._control, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                _be_zygote(theirs.detach(), make)
            finally:
                os._exit(1)
        theirs.close()
        self._lasting_pids = {pid, init_pid}
        greeting = next(_frames(self._control), {"failed": "it ended before it was ready"})
        if "failed" in greeting:
            raise ExecutorError(f"the process that answers are cloned from: {greeting['failed']}")

    def work(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one piece of work in a clone, and end the clone."""
        deadline = time.monotonic() + self._limit_s
        mine, theirs = socket.socketpair()
        mine.settimeout(self._limit_s)
        born = False
        with mine:
            try:
                with theirs:
                    socket.send_fds(self._control, [b"c"], [theirs.fileno()])
                mine.sendall(encode_frame(0, request))
                frames = _frames(mine, deadline)
                born = next(frames, None) is not None
                result = next(frames, None) or _failure(Status.CRASH)
            except TimeoutError:
                result = _failure(Status.TIMEOUT)
            except FrameError:
                # Only a clone writes here. Its greeting may have come together with the rest.
                born = True
                result = _failure(Status.PROTOCOL)
            except OSError:
                result = _failure(Status.CRASH)
        if not born:
            self._give_up(hangs=result["status"] is Status.TIMEOUT)
        self._end_clones()
        return result

    def _give_up(self, hangs: bool) -> NoReturn:
        """Have the pool replace this process, because the zygote hangs or is gone."""
        while hangs:
            signal.pause()
        os._exit(1)

    def _end_clones(self) -> None:
        """Kill the clone, and those that it made in turn."""
        while pids := children() - self._lasting_pids:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _failure(status: Status) -> dict[str, Any]:
    return {"correct": False, "status": status}


def _frames(sock: socket.socket, deadline: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield the payloads that come from a socket until the other end hangs up.

    Args:
        sock: Socket to receive from.
        deadline: Time by the monotonic clock until which to wait. None waits for ever.

    Raises:
        TimeoutError: The deadline passed.
        FrameError: Something other than a frame came.
    """
    reader = FrameReader()
    while data := sock.recv(1 << 16):
        for _, payload in reader.feed(data):
            yield payload
        if deadline is not None:
            sock.settimeout(max(1e-3, deadline - time.monotonic()))


def _be_zygote(control_fd: int, make: Callable[[], tuple[Preparation, Work]]) -> None:
    """Load, lock down, and return in clones only, when they have done their work."""
    os.dup2(control_fd, CHANNEL_FD)
    os.closerange(CHANNEL_FD + 1, 1 << 16)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, CHANNEL_FD)
    try:
        prepare, work = make()
        # A collection in a clone would copy every page of what they share.
        gc.collect()
        gc.freeze()
        confine(_CONFINEMENT, _MAX_THREADS)
    except Exception as error:
        _write(CHANNEL_FD, encode_frame(0, {"failed": f"{type(error).__name__}: {error}"}))
        return
    _write(CHANNEL_FD, encode_frame(0, {}))
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        for fd in fds:
            request = first_payload(fd)
            if request is None:
                return
            with suppress(Exception):
                prepare(request)
            if _clone():
                os.close(fd)
            else:
                _be_clone(fd, request, work)


def _clone() -> int:
    """Clone this process, again and again while there is no room. Returns 0 in the clone."""
    while True:
        try:
            return syscall("clone", CLONE_FLAGS, 0, 0, 0, 0)
        except BlockingIOError:
            time.sleep(_RETRY_S)


def _be_clone(fd: int, request: dict[str, Any], work: Work) -> NoReturn:
    """Do one piece of work, answer, and end."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The channel to the worker takes the place of that of the zygote.
        os.dup2(fd, CHANNEL_FD)
        os.close(fd)
        silence()
        _write(CHANNEL_FD, encode_frame(0, {}))
        try:
            result = work(request)
        except MemoryError:
            result = _failure(Status.MEMORY)
        except BaseException:
            result = _failure(Status.ERROR)
        _write(CHANNEL_FD, encode_frame(0, result))
    finally:
        os._exit(0)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
