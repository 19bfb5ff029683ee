"""A problem that could not be searched to its end, and why."""

import traceback
from contextlib import suppress
from dataclasses import dataclass

from rstar_fast.errors import text_of
from rstar_fast.problems import Problem


@dataclass(frozen=True, slots=True)
class Failure:
    """A problem whose search could not be finished.

    Attributes:
        problem: The problem.
        error_type: Name of the exception's class, as in "PolicyError".
        reason: What went wrong, in words.
        traceback: Traceback of the exception, as Python prints it. Empty where nothing was raised.
        time: Time at which a run folder noted the failure, ISO 8601 in UTC. Empty before that.
    """

    problem: Problem
    error_type: str
    reason: str
    traceback: str = ""
    time: str = ""

    @property
    def summary(self) -> str:
        """Type and reason in one text, as in "PolicyError: out of memory"."""
        return f"{self.error_type}: {self.reason}" if self.error_type else self.reason

    @classmethod
    def of(cls, problem: Problem, error: BaseException) -> "Failure":
        """Describe the failure of a problem that an exception ended."""
        raised = error.__traceback__ is not None or error.__cause__ is not None
        lines: list[str] = []
        # Formatting runs code of foreign exceptions.
        with suppress(Exception):
            lines = traceback.format_exception(error) if raised else []
        return cls(problem, type(error).__name__, text_of(error), "".join(lines))
