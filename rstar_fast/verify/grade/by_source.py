"""A verifier that grades each problem by the rules of its source. Runs in the main process."""

from concurrent.futures import Future
from typing import Self

from rstar_fast.problems import Problem
from rstar_fast.problems.sources import kind_of, registered_source
from rstar_fast.verify.base import Grade, Verifier
from rstar_fast.verify.grade.verifiers import MathVerifier


class SourceVerifier:
    """Grades each answer with the verifier of its problem's source; without one, as mathematics.

    The kind of source is the part of the problem's id before its first colon. Implements
    `Verifier`. A context manager, which closes the verifiers.
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier. The workers of each kind start with the first answer for them.

        Args:
            workers: Number of answers of each kind that are graded at once, >= 1.
            limit_s: Seconds for grading one answer, > 0. An answer that takes longer counts as
                wrong.

        Raises:
            ConfigError: A number is out of range.
        """
        self._workers = workers
        self._limit_s = limit_s
        self._math = MathVerifier(workers, limit_s)
        self._others: dict[str, Verifier] = {}

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start grading one answer.

        Raises:
            ProblemError: The problem cannot be graded.
        """
        return self._verifier_of(problem).submit(problem, answer)

    def close(self) -> None:
        """Stop the workers. May be called again."""
        for verifier in (self._math, *self._others.values()):
            verifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verifier_of(self, problem: Problem) -> Verifier:
        kind = kind_of(problem.id)
        if kind not in self._others:
            source = registered_source(kind)
            if source is None or source.verifier is None:
                return self._math
            self._others[kind] = source.verifier(self._workers, self._limit_s)
        return self._others[kind]
