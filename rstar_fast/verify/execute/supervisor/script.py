"""Scripts, and the streams between them and the supervisor. Runs in the supervisor process."""

import base64
import contextlib
import fcntl
import math
import os
import resource
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from rstar_fast.verify.base import Status
from rstar_fast.verify.execute import framing

_PIECE_BYTES = 1 << 16
_MAX_PIECES = 32
"""Number of pieces that are read of one pipe at once. A pipe holds at most 16."""
_FIRST_LOOK_S, _LONGEST_PAUSE_S = 0.005, 0.1
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class Script:
    """A script to run.

    Attributes:
        source: Text of the script.
        stdin: Bytes of its standard input.
        wall_s: Wall time until it is killed, seconds.
        memory_bytes: Address space beyond the loaded libraries' own, bytes.
    """

    source: str
    stdin: bytes
    wall_s: float
    memory_bytes: int

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Script":
        """Return the script of a request of the main process."""
        stdin = base64.b64decode(told["stdin"])
        return cls(told["source"], stdin, told["wall_s"], told["memory_bytes"])

    def request(self) -> bytes:
        """Return the request that its process does."""
        cpu_s = math.ceil(self.wall_s) + 1
        return framing.pack_script(self.source, self.memory_bytes, cpu_s)


class Streams:
    """The standard streams of one script.

    Its input is a file in memory. Its output and its errors are pipes. They are not watched, which
    would wake the supervisor at every line: they are looked at now and then, and at the end. A
    script that fills its pipe in between waits.

    Attributes:
        next_look_s: Time of the next look, by the monotonic clock.
    """

    def __init__(self, stdin: bytes, max_bytes: int) -> None:
        """Make the streams.

        Args:
            stdin: Bytes of the standard input.
            max_bytes: Bytes of each pipe to keep, half from its beginning and half from its end.

        Raises:
            OSError: There is no room for descriptors.
        """
        self._theirs: list[int] = []
        self._kept: dict[int, _Kept] = {}
        self._pause_s = _FIRST_LOOK_S
        self.next_look_s = time.monotonic() + self._pause_s
        try:
            self._theirs.append(_file_of(stdin))
            for _ in range(2):
                ours, theirs = os.pipe2(os.O_CLOEXEC)
                self._kept[ours] = _Kept(max_bytes)
                self._theirs.append(theirs)
                os.set_blocking(ours, False)
        except OSError:
            self.close()
            raise

    def hand_over(self, sock: socket.socket) -> None:
        """Send the script's own ends to its process. Does nothing once that is done.

        Raises:
            OSError: The process is gone, or it does not take them yet (BlockingIOError).
        """
        if self._theirs:
            socket.send_fds(sock, [b"s"], self._theirs)
            self._close_theirs()

    def look(self) -> None:
        """Take what the script has written, and set the time of the next look."""
        read = sum([_read(fd, kept) for fd, kept in self._kept.items()])
        self._pause_s = _FIRST_LOOK_S if read else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self.next_look_s = time.monotonic() + self._pause_s

    def written(self) -> dict[str, Any]:
        """Return what the script has written as `stdout`, `stderr` (base64) and `cut`."""
        self.look()
        stdout, stderr = self._kept.values()
        return {
            "stdout": base64.b64encode(stdout.content()).decode("ascii"),
            "stderr": base64.b64encode(stderr.content()).decode("ascii"),
            "cut": stdout.is_cut or stderr.is_cut,
        }

    def close(self) -> None:
        """Close the descriptors. May be called again."""
        self._close_theirs()
        for fd in self._kept:
            os.close(fd)
        self._kept = {}

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())


class _Kept:
    """The beginning and the end of what comes through a pipe."""

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._head, self._tail = bytearray(), bytearray()
        self.is_cut = False

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._half:
            self._drop()

    def _drop(self) -> None:
        self.is_cut |= len(self._tail) > self._half
        del self._tail[: -self._half]

    def content(self) -> bytes:
        self._drop()
        return bytes(self._head + (b"..." if self.is_cut else b"") + self._tail)


def ended(wait_status: int, usage: resource.struct_rusage) -> dict[str, Any]:
    """Return how a script ended, of the outcome of `os.wait4`, as fields of `ScriptResult`."""
    told = {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss << 10}
    code = os.waitstatus_to_exitcode(wait_status)
    if code == -signal.SIGXCPU:
        return told | {"status": Status.TIMEOUT, "exit_code": None}
    status = Status.OK if code == 0 else Status.ERROR if code > 0 else Status.CRASH
    return told | {"status": status, "exit_code": code}


def _file_of(data: bytes) -> int:
    """Return the descriptor of a file in memory, which nobody can change."""
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd


def _read(fd: int, kept: _Kept) -> int:
    """Take what is in a pipe now, and return the number of bytes."""
    num_bytes = 0
    with contextlib.suppress(BlockingIOError):
        for _ in range(_MAX_PIECES):
            data = os.read(fd, _PIECE_BYTES)
            if not data:
                break
            kept.add(data)
            num_bytes += len(data)
    return num_bytes
