"""Entries of the package `reasoning_gym` as problems, and its own scorers as their verifier.

Both run in confined worker processes, in which an entry is made again from its id. The package draws entry i of
seed s as entry i - 1 of seed s + 1. A seed of ours is therefore the seed of a block of a million entries, so that
no two seeds share one.
"""

import os
from concurrent.futures import Future
from dataclasses import astuple
from importlib.util import find_spec
from typing import Any
from warnings import warn

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.problems.gym import GYM, GymDataset, entry_of
from rstar_fast.problems.sources import Source
from rstar_fast.verify.base import Grade
from rstar_fast.verify.grade.pooled import PooledVerifier
from rstar_fast.verify.pool.pool import WorkerPool

ANY_THAT_SCORES = "(any that its scorer accepts)"
"""Stands for the accepted answer where an entry has none, and only its scorer can tell."""

_MODULE = "rstar_fast.verify.grade.gym_worker"
_ENTRY_LIMIT_S = 30.0


def gym_problems(source: str, limit: int | None = None) -> list[Problem]:
    """The entries of a data set. One that cannot be made (an exception, over 30 s) is told by a warning, and left out.

    Args:
        source: `reasoning_gym:DATASET:SIZE` or `reasoning_gym:DATASET:SIZE:SEED` (0), SIZE up to `BLOCK`, SEED up to 4000.
        limit: how many to make from the front, >= 1; None for all.

    Raises:
        ProblemError: the package is not installed, or has no such data set.
    """
    dataset = GymDataset.parse(source)
    _check_installed(source)
    problems, reasons = [], []
    with WorkerPool(
        _MODULE,
        workers=1,
        limit_s=_ENTRY_LIMIT_S,
        options={},
        decode=lambda payload: payload,
        failure=lambda status: {"error": f"it ended by {status}"},
        environment=_environment(),
    ) as pool:
        indices = range(min(dataset.size, limit or dataset.size))
        futures = [pool.submit({"entry": (*astuple(dataset), index)}) for index in indices]
        for index, future in enumerate(futures):
            problem_id, made = dataset.problem_id(index), future.result()
            if "error" in made:
                reasons.append(f"{problem_id}: no entry: {made['error']}")
            else:
                problems.append(
                    Problem(problem_id, made["question"], (made["answer"] or ANY_THAT_SCORES,))
                )
    if not problems:
        raise ProblemError(reasons[0])
    for reason in reasons:
        warn(reason, stacklevel=2)
    return problems


class GymVerifier(PooledVerifier):
    """Asks the scorer of a problem's data set. Only a score of 1, the highest, counts as right.

    Some scorers evaluate answers as Python, so the workers are confined like those that run steps.
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier. Its workers start with the first answer.

        Args:
            workers: Number of answers that are scored at once, >= 1.
            limit_s: Seconds for scoring one answer, > 0. Taking longer counts as wrong.
        """
        super().__init__(_MODULE, {}, workers, limit_s, environment=_environment())

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start scoring an answer.

        Raises:
            ProblemError: The problem is of another source, or the package is not installed.
        """
        dataset, index = entry_of(problem.id)
        _check_installed(problem.id)
        request: dict[str, Any] = {
            "entry": (*astuple(dataset), index),
            "question": problem.question,
            "answer": answer,
        }
        return self._pool.submit(request)


def _check_installed(name: str) -> None:
    if find_spec(GYM) is None:
        raise ProblemError(
            f'{name}: needs the package `reasoning-gym`: pip install "rstar-fast[gym]"'
        )


def _environment() -> dict[str, str]:
    """Some generators draw from sets: the order of these must not change. Only a process with one thread can be confined."""
    return os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


SOURCE = Source(gym_problems, GymVerifier)
"""What the entry point `reasoning_gym` names."""
