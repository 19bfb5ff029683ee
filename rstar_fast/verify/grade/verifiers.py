"""The verifiers for mathematical answers and for a function of the user's.

Both implement `Verifier` and run in the main process. Their workers run `grade.worker`.
"""

import re
from concurrent.futures import Future
from dataclasses import asdict

from rstar_fast.errors import ConfigError, ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade
from rstar_fast.verify.grade.pooled import PooledVerifier
from rstar_fast.verify.grade.spelling import settled_by_text

_MODULE = "rstar_fast.verify.grade.worker"
_FUNCTION_NAME = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


class MathVerifier(PooledVerifier):
    r"""Compares an answer with the accepted ones in three layers: it reads, compares and decides.

    What cannot be decided is unsure, which counts as wrong: see `Grade`.

    >>> half = Problem("half", "What is half of one?", r"\frac{1}{2}")
    >>> with MathVerifier() as verifier:
    ...     verifier.submit(half, "0.5").result().correct
    True
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier. Its workers start with the first answer that is not settled by its text.

        Args:
            workers: Number of comparisons at once, in 1..4096.
            limit_s: Seconds for comparing one answer with all accepted ones, > 0. Taking longer
                counts as wrong.

        Raises:
            ConfigError: A number is out of range.
        """
        super().__init__(_MODULE, {}, workers, limit_s, confined=True)

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start comparing an answer with the accepted ones. It is right if it equals any of them.

        Raises:
            ProblemError: The problem has no accepted answer.
        """
        if not problem.answers:
            raise ProblemError(f"problem {problem.id!r} has no accepted answer to grade by")
        settled = settled_by_text(problem.answers, answer)
        if settled is not None:
            return _settled(settled)
        request = {"golds": problem.answers, "answer": answer, "question": problem.question}
        return self._pool.submit(request)


class FunctionVerifier(PooledVerifier):
    """Asks a function of the user's: `function(problem: dict, answer: str) -> bool`.

    The dict holds the fields of `Problem`. The function runs in a worker process, which imports it
    by name. An exception in it counts as a wrong answer, with `Status.ERROR`.
    """

    def __init__(self, function: str, limit_s: float = 5.0, workers: int = 1) -> None:
        """Make a verifier. Its workers start with the first answer.

        Args:
            function: Name such as "package.module:function". The workers import it with this
                process's `sys.path`.
            limit_s: Seconds for one call, > 0. Taking longer counts as wrong.
            workers: Number of calls at once, in 1..4096.

        Raises:
            ConfigError: The name has another form, or a number is out of range.
        """
        if not isinstance(function, str) or not _FUNCTION_NAME.fullmatch(function):
            raise ConfigError(f'function: expected "package.module:function", got {function!r}')
        super().__init__(_MODULE, {"function": function}, workers, limit_s)

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start one call of the function.

        The future's exception is an `ExecutorError` if the function cannot be imported.
        """
        return self._pool.submit({"problem": asdict(problem), "answer": answer})


def _settled(grade: Grade) -> "Future[Grade]":
    future: Future[Grade] = Future()
    future.set_result(grade)
    return future
