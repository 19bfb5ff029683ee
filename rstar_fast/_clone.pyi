"""Cloning a process that waits, without Python in between."""

def wait_to_be_cloned(channel_fd: int, /) -> None:
    """Wait on a socket, and return only in a clone of this process; the process itself never returns.

    Each message of one byte with a descriptor makes one clone, whose parent is this process's parent. In the clone the
    descriptor takes the place of `channel_fd`, and one byte ("h") was written to it. Ends the process when the other end closes.
    The process must have one thread.
    """
