"""A clone as the supervisor sees it: a process that runs one piece of a program.

A clone is a child of the supervisor. Nothing that it sends is trusted: its process id comes from
the kernel, and its reply is bounded. This module runs in the supervisor process.
"""

import contextlib
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Container
from enum import Enum

from rstar_fast.verify.execute.framing import MAX_REPLY_BYTES, Reply, unpack_reply
from rstar_fast.verify.execute.supervisor import inspection
from rstar_fast.verify.execute.supervisor.output import Output
from rstar_fast.verify.execute.supervisor.script import Streams
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess
from rstar_fast.verify.pool.wire import FrameError

_CREDENTIALS = struct.Struct("@iII")
_CONTROL_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)
_BIRTH_GRACE_S = 0.5
"""Seconds that a birth may take without counting as time of the program."""


class CloneState(Enum):
    """State of a clone's life."""

    REQUESTED = "requested"
    """Its parent was asked for it, and it has not sent its greeting."""
    RUNNING = "running"
    """It runs a piece of a program, or it has replied and is about to end or to wait."""
    SNAPSHOT = "snapshot"
    """It has replied and waits to be cloned in turn."""


class Settling(Enum):
    """Outcome of looking whether a clone is a snapshot."""

    WAITS = "waits"
    """It is one now."""
    BUSY = "busy"
    """It does not wait yet."""
    UNFIT = "unfit"
    """Its clones would share something, or it is gone."""


class Clone:
    """A process that was cloned from a zygote or from a snapshot, to run one piece of a program.

    Attributes:
        sock: Socket to the clone.
        output: What the clone prints.
        parent: Process that it is cloned from.
        state: State of its life.
        keep: Whether it was asked to stay as a snapshot.
        pid: Process id. None while it is requested.
        begun_s: Time at which it was requested, and then at which it began to live, by the
            monotonic clock.
        deadline: Time at which it is late, by the monotonic clock. Set by the supervisor.
        elapsed_s: Wall time that all pieces of its program took so far, seconds.
        num_cloning: Number of clones that were requested from it and do not live yet.
        births_due: Number of clones that were requested from it and that it has not made yet.
        was_refused: Whether its parent said that there is no room for a process.
        num_bytes: Memory that it shares with no process, and of dropped snapshots that is shared
            with it, bytes. Set by `settle`.
        anonymous_bytes: Resident memory of it that belongs to no file, bytes. Set by `settle`.
        null: Identity and state of a fresh null device in it, see `inspection`.
        heirs: Snapshots that were cloned from it.
        source: Program text that it has executed, while it is a snapshot.
        reply: Reply that it sent. None before that.
        streams: Standard streams of its script. None where it runs a program of steps.
    """

    __slots__ = (
        "_data",
        "_pidfd",
        "_unsent",
        "anonymous_bytes",
        "begun_s",
        "births_due",
        "deadline",
        "elapsed_s",
        "heirs",
        "keep",
        "null",
        "num_bytes",
        "num_cloning",
        "output",
        "parent",
        "pid",
        "reply",
        "sock",
        "source",
        "state",
        "streams",
        "was_refused",
    )

    def __init__(
        self,
        parent: "ZygoteProcess | Clone",
        request: bytes,
        keep: bool,
        streams: Streams | None = None,
    ) -> None:
        """Request a clone.

        Args:
            parent: Zygote or snapshot to clone.
            request: Bytes of the request that the clone does.
            keep: Whether the request asks the clone to stay as a snapshot.
            streams: Standard streams of its script, which are closed with the clone. None for a
                program of steps.

        Raises:
            OSError: The parent is gone, or there is no room for descriptors.
        """
        self.streams = streams
        try:
            self.output = Output()
        except OSError:
            if streams:
                streams.close()
            raise
        try:
            self.sock, theirs = socket.socketpair()
        except OSError:
            self.output.hand_over()
            self._close_outputs()
            raise
        self.parent = parent
        self.state = CloneState.REQUESTED
        self.keep = keep
        self.pid: int | None = None
        self.begun_s = time.monotonic()
        self.deadline = 0.0
        self.elapsed_s: float = parent.elapsed_s
        self.num_cloning = 0
        self.births_due = 0
        self.was_refused = False
        self.num_bytes = 0
        self.anonymous_bytes = 0
        self.null: bytes = parent.null
        self.heirs: list[Clone] = []
        self.source = ""
        self.reply: Reply | None = None
        self._data = b""
        self._pidfd: int | None = None
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
        parent.births_due += 1

    @property
    def age_s(self) -> float:
        """Wall time that it has lived, or that it was waited for, seconds."""
        return time.monotonic() - self.begun_s

    @property
    def birth_charge_s(self) -> float:
        """Wall time of waiting for its birth that counts against its program, seconds.

        A zygote is innocent of it. A snapshot may be hostile.
        """
        is_suspect = isinstance(self.parent, Clone)
        return max(0.0, self.age_s - _BIRTH_GRACE_S) if is_suspect else 0.0

    def send(self) -> bool:
        """Send as much of the request as the socket takes. Returns True once all is sent."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
            if self.streams:
                self.streams.hand_over(self.sock)
        except BlockingIOError:
            return False
        except OSError:
            # A later read finds that the clone is gone.
            self._unsent = b""
        return True

    def receive(self, known_pids: Container[int]) -> bool:
        """Read what the clone sent, and set `reply`. While it is requested, that is its greeting.

        A greeting sets `was_refused`, or `state`, `pid`, `begun_s` and `elapsed_s`.

        Args:
            known_pids: Process ids of other clones, from which no greeting is taken.

        Returns:
            False if the clone hung up.

        Raises:
            FrameError: The clone sent something other than a greeting and one reply.
            OSError: There is no room for a descriptor of the process, or it is gone.
        """
        try:
            if self.state is CloneState.REQUESTED:
                return self._receive_greeting(known_pids)
            data = self.sock.recv(MAX_REPLY_BYTES + 1)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._take(data)
        return bool(data)

    def _receive_greeting(self, known_pids: Container[int]) -> bool:
        data, control, _, _ = self.sock.recvmsg(MAX_REPLY_BYTES + 1, _CONTROL_BYTES)
        if not data:
            return False
        pid = next(
            (
                _CREDENTIALS.unpack(content)[0]
                for level, kind, content in control
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
            ),
            0,
        )
        if data == b"e" and pid == self.parent.pid:
            self.was_refused = True
            return True
        if data[:1] != b"h" or pid <= 0 or pid == self.parent.pid or pid in known_pids:
            raise FrameError(f"expected the greeting of a new process, got {data[:16]!r} of {pid}")
        self._pidfd = os.pidfd_open(pid)
        self.pid = pid
        self.state = CloneState.RUNNING
        self.elapsed_s += self.birth_charge_s
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

    def settle(self) -> Settling:
        """Become a snapshot if the process sleeps and its clones would share nothing that changes.

        Such a process has one thread and no open files but its own. Sets `state`,
        `anonymous_bytes` and `num_bytes`.
        """
        assert self.pid is not None
        try:
            if not inspection.waits_to_be_cloned(self.pid):
                return Settling.BUSY
            usage = inspection.usage(self.pid)
            if usage.num_threads != 1 or not inspection.has_own_files_only(self.pid, self.null):
                return Settling.UNFIT
            self.anonymous_bytes = inspection.anonymous_bytes(self.pid)
            grown_bytes = self.anonymous_bytes - self.parent.anonymous_bytes
            self.num_bytes = inspection.own_bytes(self.pid, usage.num_page_faults, grown_bytes)
        except OSError:
            return Settling.UNFIT
        self._data = b""
        self.state = CloneState.SNAPSHOT
        return Settling.WAITS

    def look_again(self) -> int | None:
        """Return the memory of a snapshot as `num_bytes`, or None if the process does not sleep."""
        assert self.pid is not None
        try:
            if not inspection.waits_to_be_cloned(self.pid):
                return None
            num_page_faults = inspection.usage(self.pid).num_page_faults
            grown_bytes = inspection.anonymous_bytes(self.pid) - self.parent.anonymous_bytes
            return inspection.own_bytes(self.pid, num_page_faults, grown_bytes)
        except OSError:
            return None

    def kill(self) -> None:
        """Send SIGKILL if the process has greeted. The clone is forgotten when it hangs up."""
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self, options: int = 0) -> tuple[int, resource.struct_rusage] | None:
        """Wait for the end of the process, which has greeted.

        Args:
            options: Options of `os.wait4`.

        Returns:
            Status and used resources of the process. None if it has not ended.
        """
        assert self.pid is not None
        ended, status, usage = os.wait4(self.pid, options)
        return (status, usage) if ended else None

    @property
    def pidfd(self) -> int:
        """Descriptor of the process, which becomes readable when it ends. It has greeted."""
        assert self._pidfd is not None
        return self._pidfd

    def close(self) -> None:
        """Close the descriptors."""
        self.sock.close()
        self._close_outputs()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _close_outputs(self) -> None:
        self.output.close()
        if self.streams:
            self.streams.close()
