"""Checks final answers in killable worker processes; both classes here implement `Verifier`."""

import os
import re
from concurrent.futures import Future
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from rstar_fast.errors import ConfigError, ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Status
from rstar_fast.verify.grade.answers import normalise
from rstar_fast.verify.pool.pool import WorkerPool

MAX_ANSWER_CHARS = 4096
"""A longer answer is wrong unless it is an accepted one character by character."""

_MODULE = "rstar_fast.verify.grade.worker"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,99}")
_FUNCTION_NAME = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


class MathVerifier:
    r"""Compares with a problem's accepted answers: first as text, plain integers as such, all else by math-verify.

    >>> with MathVerifier() as verifier:
    ...     verifier.submit(Problem("half", "What is half of one?", (r"\frac{1}{2}",)), "0.5").result().correct
    True
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier; its workers start with the first answer that is not settled as text.

        Args:
            workers: comparisons at once, >= 1.
            limit_s: seconds of one comparison with all accepted answers, > 0. Taking longer counts as wrong.
        """
        self._pool = _pool({}, workers, limit_s)

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start comparing; any accepted answer will do. Raises `ProblemError` for a problem without accepted answers."""
        if not problem.answers:
            raise ProblemError(f"problem {problem.id!r} has no accepted answer to grade by")
        text = normalise(answer)
        if text and text in _normalised(problem.answers):
            return _settled(Grade(True))
        if (
            not text
            or len(answer) > MAX_ANSWER_CHARS
            or all(map(_INTEGER.fullmatch, (answer, *problem.answers)))
        ):
            return _settled(Grade(False))
        return self._pool.submit({"golds": problem.answers, "answer": answer})

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that live now."""
        return self._pool.pids()

    def close(self) -> None:
        """Stop the workers; answers that are not graded become `Status.LOST`. May be called again."""
        self._pool.close()

    def __enter__(self) -> "MathVerifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FunctionVerifier:
    """Asks a function of the user's, `function(problem: dict, answer: str) -> bool`.

    The dict holds the fields of `Problem`. The function runs in a worker process, which imports it by name; an exception in it
    counts as wrong with `Status.ERROR`.
    """

    def __init__(self, function: str, limit_s: float = 5.0, workers: int = 1) -> None:
        """Make a verifier; its workers start with the first answer.

        Args:
            function: "package.module:function", importable from where this process imports.
            limit_s: seconds of one call, > 0. Taking longer counts as wrong.
            workers: calls at once, >= 1.
        """
        if not isinstance(function, str) or not _FUNCTION_NAME.fullmatch(function):
            raise ConfigError(f'function: expected "package.module:function", got {function!r}')
        self._pool = _pool({"function": function}, workers, limit_s)

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start one call. The future's exception is an `ExecutorError` if the function cannot be imported."""
        return self._pool.submit({"problem": asdict(problem), "answer": answer})

    def close(self) -> None:
        """Stop the workers; answers that are not graded become `Status.LOST`. May be called again."""
        self._pool.close()

    def __enter__(self) -> "FunctionVerifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pool(options: dict[str, Any], workers: int, limit_s: float) -> WorkerPool[Grade]:
    if isinstance(limit_s, bool) or not isinstance(limit_s, int | float) or not 0 < limit_s < 1e6:
        raise ConfigError(f"limit_s: expected a number of seconds above 0, got {limit_s!r}")
    return WorkerPool(
        _MODULE,
        workers=workers,
        limit_s=limit_s,
        options=options,
        decode=_decode,
        failure=lambda status: Grade(False, status),
        environment=os.environ | {"PYTHONHASHSEED": "0"},
    )


def _decode(payload: dict[str, Any]) -> Grade:
    correct = payload["correct"]
    if not isinstance(correct, bool):
        raise TypeError(f"expected true or false, got {correct!r}")
    return Grade(correct, Status(payload["status"]))


def _settled(grade: Grade) -> "Future[Grade]":
    future: Future[Grade] = Future()
    future.set_result(grade)
    return future


@lru_cache(maxsize=4096)
def _normalised(answers: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(normalise, answers)) - {""}
