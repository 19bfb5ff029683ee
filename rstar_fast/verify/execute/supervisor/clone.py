"""A clone as the supervisor sees it: a process that runs one piece of a program.

A clone is a child of the supervisor. Nothing that it sends is trusted: its process id comes from the
kernel, and its reply is bounded.
"""

import os
import signal
import socket
import struct
import time
from enum import Enum

from rstar_fast.verify.execute.framing import MAX_REPLY_BYTES, Reply, unpack_reply
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.pool.wire import FrameError

_CREDENTIALS = struct.Struct("@iII")
_CONTROL_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_NUM_OWN_FDS = 4


class CloneState(Enum):
    """The life of a clone.

    REQUESTED: its parent was asked for it, and it has not sent its greeting.
    RUNNING: it runs a piece of a program, or has answered and is about to end.
    SNAPSHOT: it has answered and waits to be cloned in turn.
    """

    REQUESTED = "requested"
    RUNNING = "running"
    SNAPSHOT = "snapshot"


class Clone:
    """A process that was cloned from a zygote or from a snapshot, to run one piece of a program.

    Attributes:
        sock: Socket to the clone.
        parent: Process that it is cloned from.
        state: Where it is in its life.
        pid: Process id. None while it is requested.
        begun_s: Time at which it began to live, by the monotonic clock.
        elapsed_s: Wall time that all pieces of its program took so far, seconds.
        num_cloning: Number of clones that were asked of it and do not live yet.
        num_bytes: Upper bound of the memory that it shares with nobody, bytes. Set by `settle`.
        source: Program text that it has executed, while it is a snapshot.
        reply: What it answered. None before that.
    """

    __slots__ = (
        "_data",
        "_unsent",
        "begun_s",
        "elapsed_s",
        "num_bytes",
        "num_cloning",
        "parent",
        "pid",
        "reply",
        "sock",
        "source",
        "state",
    )

    def __init__(self, parent: "ZygoteProcess | Clone", request: bytes) -> None:
        """Ask a zygote or a snapshot for a clone that does one request. Raises `OSError` if the parent is gone."""
        self.sock, theirs = socket.socketpair()
        self.parent = parent
        self.state = CloneState.REQUESTED
        self.pid: int | None = None
        self.begun_s = 0.0
        self.elapsed_s: float = parent.elapsed_s
        self.num_cloning = 0
        self.num_bytes = 0
        self.source = ""
        self.reply: Reply | None = None
        self._data = b""
        self._unsent = request
        with theirs:
            self.sock.setblocking(False)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.send()
            try:
                socket.send_fds(parent.sock, [b"c"], [theirs.fileno()])
            except OSError:
                self.sock.close()
                raise
        parent.num_cloning += 1

    def send(self) -> bool:
        """Send more of the request. Returns True once all of it is sent."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            return False
        except OSError:  # A later read finds that the clone is gone.
            self._unsent = b""
        return True

    def receive(self) -> bool:
        """Read what the clone sent, and set `state`, `pid` and `reply` by it. Returns False when it hung up.

        Raises:
            FrameError: The clone sent something else than a greeting and one reply.
        """
        try:
            if self.state is CloneState.REQUESTED:
                return self._receive_greeting()
            data = self.sock.recv(MAX_REPLY_BYTES + 1)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._take(data)
        return bool(data)

    def _receive_greeting(self) -> bool:
        data, control, _, _ = self.sock.recvmsg(MAX_REPLY_BYTES + 1, _CONTROL_BYTES)
        if not data:
            return False
        for level, kind, content in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                self.pid = _CREDENTIALS.unpack(content)[0] or None
        if self.pid is not None:
            self.state = CloneState.RUNNING
        if self.pid is None or data[:1] != b"h":
            raise FrameError(f"expected a greeting, got {data[:16]!r}")
        self.begun_s = time.monotonic()
        self._take(data[1:])
        return True

    def _take(self, data: bytes) -> None:
        if not data:
            return
        if self.reply:
            raise FrameError("expected one reply, got more")
        self._data += data
        self.reply = unpack_reply(self._data)

    def settle(self) -> bool:
        """Become a snapshot if the process has one thread and no file open. Sets `state` and `num_bytes`.

        Returns:
            Whether it is a snapshot now.
        """
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
            num_fds = len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return False
        num_page_faults, num_threads = int(fields[7]), int(fields[17])
        self.num_bytes = num_page_faults * _PAGE_BYTES
        self._data = b""
        if num_threads != 1 or num_fds != _NUM_OWN_FDS:
            return False
        self.state = CloneState.SNAPSHOT
        return True

    def disown_process(self) -> None:
        """Forget a process id that belongs to another clone: this one is as if it had never greeted."""
        self.pid = None
        self.state = CloneState.REQUESTED

    def kill(self) -> None:
        """Send SIGKILL. The process is a child that was not waited for, so its id cannot be another's."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
