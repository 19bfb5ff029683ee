"""Waiting to be cloned. Runs in zygotes and snapshots.

There are two implementations that do the same: one in C++, and one in Python for machines where the
extension cannot be loaded.
"""

import os
import resource
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from rstar_fast.verify.sandbox import kernel
from rstar_fast.verify.sandbox.kernel import prctl, syscall
from rstar_fast.verify.sandbox.seccomp import CLONE_FLAGS

_close, _dup2, _exit, _open, _write = os.close, os.dup2, os._exit, os.open, os.write
_NULL = os.devnull
_NULL_FLAGS = os.O_RDWR | os.O_CLOEXEC


def silence() -> None:
    """Put the null device on descriptors 0 to 2, opened anew so that nobody shares its state."""
    fd = _open(_NULL, _NULL_FLAGS)
    for standard in (0, 1, 2):
        _dup2(fd, standard)
    _close(fd)


def secret_function(native: bool) -> Callable[[Any, int, int], None] | None:
    """Return the function that spares a zygote the questions about its clones. None in Python.

    Python would leave copies of the secret in memory, which the clones inherit.
    """
    if not native:
        return None
    from rstar_fast._clone import draw_secret

    return draw_secret


def waiting_function(channel_fd: int, cpu_s: int, native: bool) -> Callable[[], None]:
    """Return a function that waits on a channel and returns only in a clone of this process.

    `_clone.pyi` says what the function does.

    Args:
        channel_fd: Descriptor of a Unix stream socket.
        cpu_s: Processor time that each clone may use, whole seconds.
        native: Whether to return the function in C++, not the one in Python.

    Raises:
        ImportError: The extension cannot be loaded.
    """
    if native:
        from rstar_fast._clone import wait_to_be_cloned

        return partial(wait_to_be_cloned, channel_fd, cpu_s)

    # Imported only here, because what is loaded is copied for every program.
    import socket

    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel_fd)
    limit = struct.pack("=QQ", cpu_s, cpu_s)
    return partial(_wait_to_be_cloned, channel_fd, limit, partial(socket.recv_fds, channel, 1, 2))


def _wait_to_be_cloned(
    channel_fd: int, limit: bytes, recv_fds: Callable[[], tuple[bytes, list[int], int, Any]]
) -> None:
    while True:
        data, fds, _, _ = recv_fds()
        if not data:
            _exit(0)
        if len(fds) == 2:
            pid = _clone()
            if pid == 0:
                prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                syscall("prlimit64", 0, resource.RLIMIT_CPU, limit, 0)
                silence()
                for fd, own_fd in zip(fds, (channel_fd, channel_fd + 1), strict=True):
                    if fd != own_fd:
                        _dup2(fd, own_fd)
                        _close(fd)
                _write(channel_fd, b"h")
                return
            if pid < 0:
                with suppress(OSError):
                    _write(fds[0], b"e")
        for fd in fds:
            _close(fd)


def _clone() -> int:
    """Clone this process. Returns the child's process id, 0 in the child, and -1 on failure."""
    try:
        return syscall("clone", CLONE_FLAGS, 0, 0, 0, 0)
    except OSError:
        return -1
