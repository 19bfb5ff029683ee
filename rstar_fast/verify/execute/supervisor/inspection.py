"""What the kernel says about the process of a program. Runs in the supervisor process.

A process can answer whatever it likes. Whether it may become a snapshot is asked of the kernel.
"""

import os
from dataclasses import dataclass

from rstar_fast.verify.execute.framing import CHANNEL_FD
from rstar_fast.verify.sandbox.kernel import NUMBERS

_MAX_FILE_BYTES = 1 << 14
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_OWN_FDS = {"0", "1", "2", str(CHANNEL_FD)}
_EXACT_FROM_BYTES = 4 << 20
"""Estimate of a process's own memory from which it is measured, bytes."""
_WAITING = f"{NUMBERS.get('recvmsg', -1)} {CHANNEL_FD:#x} ".encode()


@dataclass(frozen=True, slots=True)
class Usage:
    """Threads and memory of a process.

    Attributes:
        num_threads: Number of its threads.
        num_page_faults: Number of pages that were made or copied for it since its birth.
    """

    num_threads: int
    num_page_faults: int


def usage(pid: int) -> Usage:
    """Return the threads and memory of a process, or of the process of a thread.

    Raises:
        OSError: It is gone.
    """
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return Usage(num_threads=int(fields[17]), num_page_faults=int(fields[7]))


def process_of(thread_id: int) -> int:
    """Return the process id of a thread.

    Raises:
        OSError: It is gone.
    """
    status = _read(thread_id, "status")
    return int(status[status.index(b"\nTgid:") :].split(None, 2)[1])


def waits_to_be_cloned(pid: int) -> bool:
    """Return whether a process of one thread sleeps until its channel brings something.

    Raises:
        OSError: It is gone.
    """
    try:
        call = _read(pid, "syscall")
    except PermissionError:
        # The kernel does not say in which call the process is.
        return _read(pid, "stat").rpartition(b")")[2].split()[0] == b"S"
    return call.startswith(_WAITING) and call.split()[3] == b"0x0"


def standard_file(pid: int, fd: int = 0) -> bytes:
    """Return the identity, the flags and the position of an opened file of a process.

    Raises:
        OSError: It is gone, or it has no such descriptor.
    """
    return _read(pid, f"fdinfo/{fd}")


def has_own_files_only(pid: int, null: bytes) -> bool:
    """Return whether a process has no open files but its channel and a fresh null device.

    Args:
        pid: Process id.
        null: What `standard_file` says of that device.

    Raises:
        OSError: It is gone.
    """
    return set(os.listdir(f"/proc/{pid}/fd")) == _OWN_FDS and all(
        standard_file(pid, fd) == null for fd in (0, 1, 2)
    )


def anonymous_bytes(pid: int) -> int:
    """Return the resident memory of a process that belongs to no file, bytes. Much may be shared.

    Raises:
        OSError: It is gone.
    """
    _, resident, of_files, *_ = _read(pid, "statm").split()
    return (int(resident) - int(of_files)) * _PAGE_BYTES


def own_bytes(pid: int, num_page_faults: int, grown_bytes: int) -> int:
    """Return the memory that a process shares with no other one, bytes.

    Args:
        pid: Process id.
        num_page_faults: Number of its page faults. A fault copies one page, or makes a page that
            may be huge.
        grown_bytes: Growth of its `anonymous_bytes` since its birth, which shows the huge ones.

    Raises:
        OSError: It is gone.
    """
    estimate = num_page_faults * _PAGE_BYTES + max(0, grown_bytes)
    # The measurement takes the kernel longer than a small clone.
    return estimate if estimate < _EXACT_FROM_BYTES else measured_bytes(pid)


def measured_bytes(pid: int) -> int:
    """Return the memory that a process shares with no other one, measured, bytes.

    Raises:
        OSError: It is gone.
    """
    return sum(
        int(line.split()[1]) << 10
        for line in _read(pid, "smaps_rollup").splitlines()
        if line.startswith((b"Private_", b"Swap:"))
    )


def _read(pid: int, name: str) -> bytes:
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _MAX_FILE_BYTES)
    finally:
        os.close(fd)
