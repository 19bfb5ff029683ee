"""The processes below a supervisor, as it sees them: zygotes, which it started, and nodes, which were cloned from them.

A node is a child of the supervisor too. What it sends is never trusted: its process id comes from the kernel, its reply is bounded.
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from rstar_fast.verify.execute.framing import MAX_REPLY_BYTES, Reply, unpack_reply
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import FrameError, FrameReader, pack

_CREDENTIALS = struct.Struct("@iII")
_CONTROL_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_NUM_OWN_FDS = 4
_BOOT = """
import sys
from types import ModuleType
for name in "rstar_fast", "rstar_fast.verify":
    sys.modules[name] = ModuleType(name)
sys.modules["rstar_fast"].__path__, sys.modules["rstar_fast.verify"].__path__ = (paths.split(":") for paths in sys.argv[2:4])
sys.path[:] = sys.argv[4:]
from rstar_fast.verify.execute.child.zygote import main
main(int(sys.argv[1]))
"""
"""With empty packages: what their own `__init__` loads would be copied for every program."""


class Zygote:
    """A process that programs are cloned from.

    Attributes:
        sock: the channel to it.
        report: what it said once it was ready; None before.
        num_cloning: requests it has not made a clone for yet.
    """

    def __init__(self, options: ZygoteOptions) -> None:
        """Start one. Raises `OSError`."""
        self.sock, theirs = socket.socketpair()
        self.report: dict[str, Any] | None = None
        self.num_cloning = 0
        self.elapsed_s = 0.0
        self._reader = FrameReader()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _BOOT,
                    str(theirs.fileno()),
                    *_package_paths(),
                    *sys.path,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        with contextlib.suppress(BrokenPipeError):  # noticed when it is read from
            self.sock.sendall(pack(0, asdict(options)))
        self.sock.setblocking(False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def receive(self) -> bool:
        """Take in what it says; False when it is gone. Sets `report`. Raises `FrameError`."""
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for _, payload in self._reader.feed(data):
            self.report = payload
        return bool(data)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self.sock.close()


class Node:
    """A clone: it runs a piece of one program, and may then wait as the snapshot of it.

    Attributes:
        sock: the channel to it.
        parent: what it is cloned from.
        pid: its process id; 0 until it lives.
        begun_s: when it began to live, by the monotonic clock.
        elapsed_s: wall time that the program took up to here, all its pieces together.
        num_cloning: as of `Zygote`.
        num_bytes: memory of its own, an upper bound; set by `settle`.
        source: what it has executed, while it is a snapshot.
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
    )

    def __init__(self, parent: "Zygote | Node", request: bytes) -> None:
        """Have a zygote or a snapshot cloned, for one request. Raises `OSError` if the parent is gone."""
        self.sock, theirs = socket.socketpair()
        self.parent = parent
        self.pid = 0
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
        """Send on the request; True once all of it is sent."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            return False
        except OSError:  # noticed when it is read from
            self._unsent = b""
        return True

    def receive(self) -> bool:
        """Take in what it says; False when it hung up. Sets `pid` and `reply`. Raises `FrameError`."""
        try:
            if not self.pid:
                return self._receive_hello()
            data = self.sock.recv(MAX_REPLY_BYTES + 1)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._take(data)
        return bool(data)

    def _receive_hello(self) -> bool:
        data, control, _, _ = self.sock.recvmsg(MAX_REPLY_BYTES + 1, _CONTROL_BYTES)
        if not data:
            return False
        for level, kind, content in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                self.pid = _CREDENTIALS.unpack(content)[0]
        if not self.pid or data[:1] != b"h":
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
        """Whether it can be a snapshot: one thread, no file open. Sets `num_bytes`."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
            num_fds = len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return False
        num_page_faults, num_threads = int(fields[7]), int(fields[17])
        self.num_bytes = num_page_faults * _PAGE_BYTES
        self._data = b""
        return num_threads == 1 and num_fds == _NUM_OWN_FDS

    def kill(self) -> None:
        """SIGKILL it; it is a child of this process that was not waited for, so the id is its own."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)


def _package_paths() -> list[str]:
    return [":".join(sys.modules[name].__path__) for name in ("rstar_fast", "rstar_fast.verify")]
