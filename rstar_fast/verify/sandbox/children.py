"""The child processes of this process, as the kernel lists them."""

import os


def children() -> set[int]:
    """Return the process ids of this process's children."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children") as listed:
            return set(map(int, listed.read().split()))
    except FileNotFoundError:
        # The kernel was built without that file.
        return {
            pid
            for pid in map(int, filter(str.isdecimal, os.listdir("/proc")))
            if _parent(pid) == own
        }


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
