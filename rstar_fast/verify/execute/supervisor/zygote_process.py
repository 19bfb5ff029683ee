"""A zygote as the supervisor sees it: a process that programs are cloned from.

Runs in the supervisor process.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from rstar_fast.verify.execute.supervisor import inspection
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import FrameReader, encode_frame

_FAKE_PACKAGES = ("rstar_fast", "rstar_fast.verify")
"""Packages that are empty in a zygote.

What their `__init__` modules load would be copied for every program.
"""

_MAX_LAST_WORDS = 2000
"""Bytes of a zygote's stderr that are looked at."""

_BOOT = f"""
import sys
from types import ModuleType
for name, paths in zip({_FAKE_PACKAGES!r}, sys.argv[2:4]):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = paths.split(":")
sys.path[:] = sys.argv[4:]
from rstar_fast.verify.execute.child.zygote import main
main(int(sys.argv[1]))
"""


class ZygoteProcess:
    """A started zygote.

    Attributes:
        sock: Socket to the zygote.
        report: What the zygote said once it was ready. None before that.
        num_cloning: Number of clones that were requested from it and do not live yet.
        births_due: Number of clones that were requested from it and that it has not made yet.
        elapsed_s: Wall time that a program cloned from it has used up, seconds: always 0.
        anonymous_bytes: Resident memory of it that belongs to no file, bytes, once it is ready.
        null: Identity and state of its null device, see `inspection`, once it is ready.
    """

    def __init__(self, options: ZygoteOptions) -> None:
        """Start a zygote.

        Raises:
            OSError: No process can be made.
        """
        self.sock, theirs = socket.socketpair()
        self.report: dict[str, Any] | None = None
        self.num_cloning = 0
        self.births_due = 0
        self.elapsed_s = 0.0
        self.anonymous_bytes = 0
        self.null = b""
        self._questions_fd: int | None = None
        # It holds messages of the start only. Later, stderr is the null device.
        self._stderr: int | None = os.memfd_create("stderr of a zygote")
        self._reader = FrameReader()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _BOOT,
                    str(theirs.fileno()),
                    *package_paths(),
                    *sys.path,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[theirs.fileno()],
            )
        # A later read finds that the zygote is gone.
        with contextlib.suppress(BrokenPipeError):
            self.sock.sendall(encode_frame(0, asdict(options)))
        self.sock.setblocking(False)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def receive(self) -> bool:
        """Read what the zygote sent, and set the attributes. Returns False when it is gone.

        Raises:
            FrameError: The zygote sent something that is not a frame.
            OSError: The zygote ended.
        """
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 1 << 16, 1)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if fds:
            (self._questions_fd,) = fds
        for _, payload in self._reader.feed(data):
            if "isolation" in payload:
                self.anonymous_bytes = inspection.anonymous_bytes(self.pid)
                self.null = inspection.standard_file(self.pid)
                self._last_words()
            if payload:
                self.report = payload
        return bool(data)

    def take_questions(self) -> int | None:
        """Return the descriptor of the kernel's questions about the calls of it and its clones.

        The caller closes it. None if none was sent since the last call.
        """
        fd, self._questions_fd = self._questions_fd, None
        return fd

    def end(self) -> str:
        """Kill the zygote and wait until it is gone. Returns how it ended, and its last words."""
        self._process.kill()
        status = self._process.wait()
        self.sock.close()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        words = self._last_words()
        return f"{how}: {words}" if words else how

    def _last_words(self) -> str:
        """Close what its stderr goes to, and return the last line of it."""
        if self._stderr is None:
            return ""
        size = os.lseek(self._stderr, 0, os.SEEK_END)
        last = os.pread(self._stderr, _MAX_LAST_WORDS, max(0, size - _MAX_LAST_WORDS))
        os.close(self._stderr)
        self._stderr = None
        return "".join(last.decode("utf-8", "replace").strip().splitlines()[-1:])


def package_paths() -> list[str]:
    """Return the search path of each package that is empty in a zygote.

    A package's folders are joined by colons. The order is that of `_FAKE_PACKAGES`.
    """
    return [":".join(sys.modules[name].__path__) for name in _FAKE_PACKAGES]
