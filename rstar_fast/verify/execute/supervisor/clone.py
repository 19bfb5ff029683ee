"""A clone as the supervisor sees it: a process that runs one piece of a program.

A clone is a child of the supervisor. Nothing that it sends is trusted: its process id comes from
the kernel, and its reply is bounded. This module runs in the supervisor process.
"""

import os
import signal
import socket
import struct
import time
from enum import Enum

from rstar_fast.verify.execute.framing import MAX_REPLY_BYTES, Reply, unpack_reply
from rstar_fast.verify.execute.supervisor.output import Output
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.pool.wire import FrameError

_CREDENTIALS = struct.Struct("@iII")
_CONTROL_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_NUM_OWN_FDS = 4
"""Number of open files of a clone that has opened none: descriptors 0 to 2 and its channel."""


class CloneState(Enum):
    """State of a clone's life."""

    REQUESTED = "requested"
    """Its parent was asked for it, and it has not sent its greeting."""
    RUNNING = "running"
    """It runs a piece of a program, or it has replied and is about to end."""
    SNAPSHOT = "snapshot"
    """It has replied and waits to be cloned in turn."""


class Clone:
    """A process that was cloned from a zygote or from a snapshot, to run one piece of a program.

    Attributes:
        sock: Socket to the clone.
        output: What the clone prints.
        parent: Process that it is cloned from.
        state: State of its life.
        pid: Process id. None while it is requested.
        begun_s: Time at which it began to live, by the monotonic clock.
        deadline: Time at which it is late, by the monotonic clock. Set by the supervisor.
        elapsed_s: Wall time that all pieces of its program took so far, seconds.
        num_cloning: Number of clones that were requested from it and do not live yet.
        num_bytes: Upper bound of the memory that it shares with no process, bytes. Set by `settle`.
        source: Program text that it has executed, while it is a snapshot.
        reply: Reply that it sent. None before that.
    """

    __slots__ = (
        "_data",
        "_unsent",
        "begun_s",
        "deadline",
        "elapsed_s",
        "num_bytes",
        "num_cloning",
        "output",
        "parent",
        "pid",
        "reply",
        "sock",
        "source",
        "state",
    )

    def __init__(self, parent: "ZygoteProcess | Clone", request: bytes) -> None:
        """Request a clone.

        Args:
            parent: Zygote or snapshot to clone.
            request: Bytes of the request that the clone does.

        Raises:
            OSError: The parent is gone.
        """
        self.output = Output()
        try:
            self.sock, theirs = socket.socketpair()
        except OSError:
            self.output.hand_over()
            self.output.close()
            raise
        self.parent = parent
        self.state = CloneState.REQUESTED
        self.pid: int | None = None
        self.begun_s = 0.0
        self.deadline = 0.0
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
                socket.send_fds(parent.sock, [b"c"], [theirs.fileno(), self.output.write_fd])
            except OSError:
                self.close()
                raise
            finally:
                self.output.hand_over()
        parent.num_cloning += 1

    @property
    def age_s(self) -> float:
        """Wall time that it has lived, seconds."""
        return time.monotonic() - self.begun_s

    def send(self) -> bool:
        """Send as much of the request as the socket takes. Returns True once all is sent."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            return False
        except OSError:
            # A later read finds that the clone is gone.
            self._unsent = b""
        return True

    def receive(self) -> bool:
        """Read what the clone sent, and set `state`, `pid`, `begun_s` and `reply`.

        Returns:
            False if the clone hung up.

        Raises:
            FrameError: The clone sent something other than a greeting and one reply.
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
        if self.reply:
            self.output.close()

    def settle(self) -> bool:
        """Become a snapshot if the process has one thread and has opened no file.

        Sets `state` and `num_bytes`.

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

    def close(self) -> None:
        """Close the descriptors of the clone."""
        self.sock.close()
        self.output.close()

    def disown_process(self) -> None:
        """Forget the process id, which belongs to another clone. This clone never greeted."""
        self.pid = None
        self.state = CloneState.REQUESTED

    def kill(self) -> None:
        """Send SIGKILL if the process has greeted. The clone is forgotten when it hangs up.

        The process was not waited for yet, so its id cannot belong to another process.
        """
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
