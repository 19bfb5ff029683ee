"""The thread that draws problems from the caller's iterable, as places become free."""

import threading
from collections.abc import Iterable

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.search.messages import ProblemDrawn, ProblemsExhausted, Send, ThreadFailed

_NOTHING = object()
_DRAW_LIMIT_S = 2.0
"""Seconds that `join` waits for a problem that is being drawn."""


class Feeder:
    """Draws problems in a thread of its own, so that the caller's iterable may block.

    Attributes:
        thread: Thread in which the iterable is drawn from.
    """

    def __init__(self, problems: Iterable[Problem], num_places: int, send: Send) -> None:
        """Start the thread.

        Args:
            problems: Problems; the iterable may be endless and may block.
            num_places: Number of problems that are drawn before a place has to be freed, >= 1.
            send: Function that takes a message for every problem, for the end, and for an error.
        """
        self._problems = problems
        self._send = send
        self._places = threading.Semaphore(num_places)
        self._stopped = False
        self.thread = threading.Thread(target=self._run, name="problems of a search", daemon=True)
        self.thread.start()

    def free_place(self) -> None:
        """Let one more problem be drawn."""
        self._places.release()

    def stop(self) -> None:
        """Draw no more problems."""
        self._stopped = True
        self._places.release()

    def join(self) -> None:
        """Wait until the thread has ended. A thread whose iterable blocks is left behind."""
        self.thread.join(_DRAW_LIMIT_S)

    def _run(self) -> None:
        try:
            problems = iter(self._problems)
            while self._places.acquire() and not self._stopped:
                problem = next(problems, _NOTHING)
                if problem is _NOTHING:
                    self._send(ProblemsExhausted())
                    return
                if not isinstance(problem, Problem):
                    raise ProblemError(f"problems: expected Problem, got {type(problem).__name__}")
                self._send(ProblemDrawn(problem))
        except BaseException as error:
            self._send(ThreadFailed(error))
