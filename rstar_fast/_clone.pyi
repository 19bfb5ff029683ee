"""Cloning a waiting process without Python in between."""

def wait_to_be_cloned(channel_fd: int, /) -> None:
    """Wait on a socket, and return only in a clone of this process.

    Each message of one byte with a descriptor makes one clone, whose parent is this process's
    parent. In the clone, the descriptor takes the place of `channel_fd`, and one byte ("h") was
    written to it. The waiting process itself never returns. It ends when the other end closes.

    Args:
        channel_fd: Descriptor of a Unix stream socket. The process must have one thread.
    """
