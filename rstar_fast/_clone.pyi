"""Cloning a waiting process without Python in between."""

def wait_to_be_cloned(channel_fd: int, /) -> None:
    """Wait on a socket, and return only in a clone of this process.

    Each message of one byte with two descriptors makes one clone, whose parent is this process's
    parent. In the clone, the first descriptor takes the place of `channel_fd`, and the second that
    of `channel_fd + 1`. One byte ("h") was written to the first. The waiting process itself never
    returns. It ends when the other end closes.

    Args:
        channel_fd: Descriptor of a Unix stream socket. The process must have one thread.
    """
