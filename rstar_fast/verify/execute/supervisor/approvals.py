"""Answering what the kernel asks about the calls of programs. Runs in the supervisor process.

A call that is asked about waits until it is answered. So no process is made but those that the
supervisor requested, and no program has more threads than it may have.
"""

import contextlib
import fcntl
import os
import select
import struct
from collections.abc import Callable

from rstar_fast.verify.execute.supervisor import inspection
from rstar_fast.verify.execute.supervisor.poller import Poller
from rstar_fast.verify.sandbox.kernel import CLONE_THREAD, NUMBERS

_QUESTION = struct.Struct("@QIIiIQ6Q")
_ANSWER = struct.Struct("@QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE, _EPERM, _EAGAIN = 1, 1, 11
_NATIVE_THREADS = 32
"""Threads that libraries may start beside those of the program."""


class Approvals:
    """The questions that the kernel asks for zygotes and their clones, and the answers.

    Attributes:
        sharing: Process ids of programs that have made a mapping that clones would share.
    """

    def __init__(self, poller: Poller, threads: int, takes_birth: Callable[[int], bool]) -> None:
        """Begin without questions.

        Args:
            poller: Poller that reports questions.
            threads: Number of threads that a program may start.
            takes_birth: Function that says whether a process was asked for a clone that it has not
                made yet, and takes that note away.
        """
        self.sharing: set[int] = set()
        self._poller = poller
        self._max_threads = 1 + threads + _NATIVE_THREADS
        self._takes_birth = takes_birth

    def watch(self, questions_fd: int) -> None:
        """Answer the questions that come on a descriptor, and close it when none can come."""
        self._poller.watch(questions_fd, lambda events: self._hear(questions_fd, events))

    def _hear(self, fd: int, events: int) -> None:
        if events & select.EPOLLIN:
            # Whoever asked may be gone by now.
            with contextlib.suppress(OSError):
                self._answer(fd)
        elif events & select.EPOLLHUP:
            self._poller.unwatch(fd)
            os.close(fd)

    def _answer(self, fd: int) -> None:
        question = bytearray(_QUESTION.size)
        fcntl.ioctl(fd, _RECEIVE, question)
        question_id, pid, _, number, _, _, *arguments = _QUESTION.unpack(question)
        try:
            error = self._judge(pid, number, arguments[0])
        except Exception:
            # The process is gone. Nothing that it is may end the supervisor.
            error = _EPERM
        flags = 0 if error else _CONTINUE
        fcntl.ioctl(fd, _SEND, _ANSWER.pack(question_id, 0, -error, flags))

    def _judge(self, pid: int, number: int, flags: int) -> int:
        """Return the error that a call gets, 0 if it is allowed."""
        if number == NUMBERS["mmap"]:
            self.sharing.add(inspection.process_of(pid))
            return 0
        if flags & CLONE_THREAD:
            fits = inspection.usage(pid).num_threads < self._max_threads
            return 0 if fits else _EAGAIN
        return 0 if self._takes_birth(pid) else _EPERM
