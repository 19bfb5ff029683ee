"""Refusals by the interpreter itself, in front of those by the kernel.

Runs in zygotes, and so in the processes of programs.
"""

import errno
import os
import sys
from typing import Any

_DENIED = frozenset(
    {
        "os.chflags",
        "os.chmod",
        "os.chown",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.removexattr",
        "os.rename",
        "os.rmdir",
        "os.setxattr",
        "os.spawn",
        "os.symlink",
        "os.system",
        "os.truncate",
        "os.utime",
        "pty.spawn",
        "resource.prlimit",
        "resource.setrlimit",
        "signal.pthread_kill",
        "sqlite3.connect",
        "subprocess.Popen",
        "syslog.syslog",
    }
)
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ALWAYS_OPEN = frozenset({0, 1, 2, os.devnull})
"""Files that a program may open in any mode."""


class Guard:
    """Audit hook that refuses what a program may not do, whatever the kernel permits.

    It is a rail and not a fence: it sees only calls that go through the interpreter, and native
    code can take it away. It raises the same errors on every machine.
    """

    def __init__(self, roots: tuple[str, ...], top_folders: list[str], max_threads: int) -> None:
        """Install the hook.

        Args:
            roots: Folders that may be read, each ending in a separator.
            top_folders: Names in the machine's "/". Paths in these folders outside `roots` are
                refused, whether they exist or not.
            max_threads: Number of threads that a program may start.
        """
        self._roots = roots
        self._closed = tuple(f"/{name}/" for name in top_folders)
        self._threads_left = max_threads
        sys.addaudithook(self._check)

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._check_open(*arguments)
        elif event in ("os.listdir", "os.scandir"):
            self._check_read(arguments[0] or ".")
        elif event in _DENIED or (event.startswith("socket.") and event != "socket.__new__"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), event)
        elif event == "_thread.start_new_thread":
            self._threads_left -= 1
            if self._threads_left < 0:
                raise RuntimeError("can't start new thread")

    def _check_open(self, path: Any, mode: str | None, flags: int) -> None:
        if path in _ALWAYS_OPEN:
            return
        if flags & _WRITE_FLAGS or (mode and set(mode) & set("wax+")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        self._check_read(path)

    def _check_read(self, path: Any) -> None:
        if isinstance(path, int):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        real = os.path.join(os.path.realpath(os.fsdecode(path)), "")
        if not real.startswith(self._roots) and (real.startswith(self._closed) or real == "/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
