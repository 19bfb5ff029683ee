"""How many programs fit into the machine's memory. Runs in the supervisor process."""

import contextlib
import os


def max_programs(workers: int, memory_bytes: int, snapshot_bytes: int) -> int:
    """Return how many programs may run at once, so that they fit even if each uses all it may.

    The memory that counts is what is available now, and the limit of the control group if there is
    one.

    Args:
        workers: Number of programs at once that was asked for.
        memory_bytes: Memory that one program may use, bytes.
        snapshot_bytes: Memory that is set aside for snapshots, bytes.

    Returns:
        A number in 1..workers.
    """
    available = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as meminfo:
        line = next(line for line in meminfo if line.startswith("MemAvailable:"))
        available = [int(line.split()[1]) << 10]
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as limit:
        available.append(int(limit.read()))
    return max(1, min(workers, (min(available) - snapshot_bytes) // memory_bytes))
