"""Waiting to be cloned: in C++, or in Python where the extension cannot be loaded. Both do the same."""

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from rstar_fast.verify.sandbox import kernel
from rstar_fast.verify.sandbox.kernel import prctl, syscall
from rstar_fast.verify.sandbox.seccomp import NODE_CLONE_FLAGS

_close, _dup2, _exit, _write = os.close, os.dup2, os._exit, os.write


def waiting_function(channel_fd: int, native: bool) -> Callable[[], None]:
    """A function that waits on a channel and returns only in a clone of this process; see `_clone.pyi`.

    Args:
        channel_fd: descriptor of a Unix stream socket.
        native: True for the one in C++, False for the one in Python.
    """
    if native:
        from rstar_fast._clone import wait_to_be_cloned

        return partial(wait_to_be_cloned, channel_fd)
    import socket  # only here: what is loaded is copied for every program

    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel_fd)
    return partial(_wait_to_be_cloned, channel_fd, partial(socket.recv_fds, channel, 1, 1))


def _wait_to_be_cloned(
    channel_fd: int, recv_fds: Callable[[], tuple[bytes, list[int], int, Any]]
) -> None:
    while True:
        data, fds, _, _ = recv_fds()
        if not data:
            _exit(0)
        for fd in fds:
            if _clone() == 0:
                prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                _dup2(fd, channel_fd)
                _close(fd)
                _write(channel_fd, b"h")
                return
            _close(fd)


def _clone() -> int:
    """The child's process id, 0 in the child, -1 if there cannot be one."""
    try:
        return syscall("clone", NODE_CLONE_FLAGS, 0, 0, 0, 0)
    except OSError:
        return -1
