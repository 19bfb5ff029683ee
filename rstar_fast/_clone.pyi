"""Cloning a waiting process without Python in between."""

import ctypes

def draw_secret(filter: bytearray | ctypes.Array[ctypes.c_char], low: int, high: int, /) -> None:
    """Draw the secret of this process, and put it into a seccomp filter that is not installed yet.

    `wait_to_be_cloned` passes it with its clone calls, as an argument that the kernel ignores. A
    clone does not know it. The caller wipes the filter.

    Args:
        filter: BPF instructions. They are changed.
        low: Place of the low half of the secret, bytes.
        high: Place of its high half, bytes.
    """

def wait_to_be_cloned(channel_fd: int, cpu_s: int, /) -> None:
    """Wait on a socket, and return only in a clone of this process.

    Each message of one byte with two descriptors makes one clone, whose parent is this process's
    parent. In the clone, the first descriptor becomes `channel_fd`, and the second becomes
    `channel_fd + 1`. The clone has written one byte ("h") to the first, and its descriptors 0 to 2
    are the null device. Where no process can be made, the waiting process writes one byte ("e") to
    the first descriptor. It never returns itself, and ends when the other end closes.

    Args:
        channel_fd: Descriptor of a Unix stream socket. The process must have one thread.
        cpu_s: Processor time that each clone may use, whole seconds.
    """
