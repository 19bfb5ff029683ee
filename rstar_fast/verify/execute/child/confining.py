"""Locking down a process that is to be cloned. Runs in zygotes of programs and of grades."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from rstar_fast.verify.sandbox.audit import Guard
from rstar_fast.verify.sandbox.kernel import PR_SET_PDEATHSIG, prctl
from rstar_fast.verify.sandbox.lockdown import Confinement, lock_down, readable_roots

_HUGE_PAGE_BYTES = 2 << 20
_MADV_COLLAPSE = 25


def confine(
    confinement: Confinement,
    threads: int,
    send: Callable[[int], object] | None = None,
    draw_secret: Callable[[Any, int, int], None] | None = None,
    huge_pages: bool = True,
) -> tuple[dict[str, str], int]:
    """Lock this process and its clones down for good, and make its clones cheap.

    Args:
        confinement: Limits.
        threads: Number of threads that a clone may start.
        send: See `lock_down`.
        draw_secret: See `lock_down`.
        huge_pages: Whether to gather the heap into huge pages.

    Returns:
        The outcome of `lock_down`, and the number of huge pages that were made.

    Raises:
        OSError: A means that may not fail did.
    """
    roots, top_folders = readable_roots(), os.listdir("/")
    # Opened before the lockdown, which hides /proc, and read after it.
    with open("/proc/self/smaps", "rb") as smaps:
        outcome = lock_down(confinement, roots, send, draw_secret)
        num_huge_pages = use_huge_pages(smaps) if huge_pages else 0
    # Set after the lockdown, because a change of the user id clears it.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    Guard(roots, top_folders, threads)
    return outcome, num_huge_pages


def use_huge_pages(smaps: BinaryIO) -> int:
    """Have the kernel gather the heap into huge pages, which makes clones cheaper.

    Args:
        smaps: Open file `/proc/self/smaps`.

    Returns:
        The number of huge pages that were made.
    """
    madvise = ctypes.CDLL(None).madvise
    made = 0
    for begin, end in _filled_heap(smaps):
        for address in range(
            -(-begin // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES,
            end - _HUGE_PAGE_BYTES + 1,
            _HUGE_PAGE_BYTES,
        ):
            made += (
                madvise(ctypes.c_void_p(address), ctypes.c_size_t(_HUGE_PAGE_BYTES), _MADV_COLLAPSE)
                == 0
            )
    return made


def _filled_heap(smaps: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the begin and end addresses of heap regions that are mostly in memory.

    Gathering the other regions into huge pages would fill them.
    """
    begin = end = 0
    for line in smaps:
        fields = line.split()
        if b"-" in fields[0]:
            is_heap = fields[1] == b"rw-p" and (len(fields) < 6 or fields[5] == b"[heap]")
            begin, end = (
                (int(address, 16) for address in fields[0].split(b"-")) if is_heap else (0, 0)
            )
        elif fields[0] == b"Rss:" and (int(fields[1]) << 10) * 4 > (end - begin) * 3 > 0:
            yield begin, end
