"""What keeps a well-meant but faulty program from harm outside its own process.

A guard rail, not a sandbox: resource limits hold in the kernel, but the audit hook only stops what goes through the
interpreter; native code that a program loads can walk around it.
"""

import errno
import os
import resource
import sys
import sysconfig
from typing import Any

from rstar_fast.verify.worker import prctl

_PR_SET_NO_NEW_PRIVS = 38
_RESERVE_BYTES = 64 << 20
"""Address space a program that ran out of memory gets back for reporting so."""
_MAX_THREADS = 32

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


def readable_roots() -> tuple[str, ...]:
    """Folders a program may read, each ending in a separator: the interpreter's own, installed packages, those loaded now."""
    roots = {"/usr/share/zoneinfo", *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))}
    roots |= {path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")}
    for module in list(sys.modules.values()):
        roots |= set(getattr(module, "__path__", ()))
    return tuple(sorted({os.path.join(os.path.realpath(root), "") for root in roots}))


def limit_worker() -> None:
    """Limits that a worker sets for itself once and every program inherits: no files, no core dumps, no new privileges."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


class Guard:
    """Limits of one program, set in its own process."""

    def __init__(self, memory_bytes: int, cpu_s: int, roots: tuple[str, ...]) -> None:
        """Lock this process down; there is no way back but `release_reserve`.

        Args:
            memory_bytes: address space beyond what the process has now.
            cpu_s: processor time, whole seconds.
            roots: folders that may be read, each ending in a separator.
        """
        with open("/proc/self/statm", "rb") as statm:
            size_bytes = int(statm.read().split()[0]) * resource.getpagesize()
        self._hard_bytes = size_bytes + memory_bytes + _RESERVE_BYTES
        self._roots = roots
        self._num_threads = 0
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes + memory_bytes, self._hard_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        self._armed = True
        sys.addaudithook(self._check)

    def release_reserve(self) -> None:
        """Make room for reporting that memory ran out."""
        self._armed = False
        resource.setrlimit(resource.RLIMIT_AS, (self._hard_bytes, self._hard_bytes))

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event == "open":
            self._check_open(*arguments)
        elif event in ("os.listdir", "os.scandir"):
            self._check_read(arguments[0] or ".")
        elif event in _DENIED or (event.startswith("socket.") and event != "socket.__new__"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), event)
        elif event == "_thread.start_new_thread":
            self._num_threads += 1
            if self._num_threads > _MAX_THREADS:
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
        if not real.startswith(self._roots) and os.path.lexists(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
