"""Problems of the package `reasoning_gym`, and its own scorers: both in worker processes, where an entry is made of its id.

The id of a problem is `reasoning_gym:DATASET:SIZE:SEED:INDEX`. The package draws entry i of seed s as entry i - 1 of seed s + 1;
ours is the seed of a block of a million, so that no two seeds share entries.
"""

import os
import re
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any
from warnings import warn

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Status
from rstar_fast.verify.pool import WorkerPool

GYM = "reasoning_gym"
BLOCK = 1_000_000
"""Entries of a seed, at most."""
ANY_THAT_SCORES = "(any that its scorer accepts)"
"""Stands for the accepted answer where an entry has none, and only its scorer can tell."""

_MODULE = "rstar_fast.verify.gym_worker"
_SOURCE = re.compile(rf"{GYM}:(\w+):(\d{{1,7}})(?::(\d{{1,4}}))?")
_ID = re.compile(rf"{GYM}:(\w+):(\d{{1,7}}):(\d{{1,4}}):(\d{{1,7}})(?:#\d+)?")
"""The last part is that of a copy, see `evaluate.run.copies`."""
_MAX_SEED = 4000
_ENTRY_LIMIT_S = 30.0


def is_gym(name: str) -> bool:
    """Whether this is the name of such a source, or the id of a problem of one."""
    return name.startswith(f"{GYM}:")


def gym_problems(source: str, limit: int | None = None) -> list[Problem]:
    """The entries of a data set. One that cannot be made (an exception, over 30 s) is told by a warning, and left out.

    Args:
        source: `reasoning_gym:DATASET:SIZE` or `reasoning_gym:DATASET:SIZE:SEED` (0), SIZE up to `BLOCK`, SEED up to 4000.
        limit: how many to make from the front, >= 1; None for all.

    Raises:
        ProblemError: the package is not installed, or has no such data set.
    """
    match = _SOURCE.fullmatch(source)
    if not match or not 1 <= int(match[2]) <= BLOCK or int(match[3] or 0) > _MAX_SEED:
        raise ProblemError(f"{source}: expected {GYM}:DATASET:SIZE or {GYM}:DATASET:SIZE:SEED, as in {GYM}:chain_sum:500:0")
    _check_installed(source)
    dataset, size, seed = match[1], int(match[2]), int(match[3] or 0)
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
        futures = [pool.submit({"entry": (dataset, size, seed, index)}) for index in range(min(size, limit or size))]
        for index, future in enumerate(futures):
            problem_id, made = f"{GYM}:{dataset}:{size}:{seed}:{index}", future.result()
            if "error" in made:
                reasons.append(f"{problem_id}: no entry: {made['error']}")
            else:
                problems.append(Problem(problem_id, made["question"], (made["answer"] or ANY_THAT_SCORES,)))
    if not problems:
        raise ProblemError(reasons[0])
    for reason in reasons:
        warn(reason, stacklevel=2)
    return problems


class GymVerifier:
    """Asks the scorer of a problem's data set. A score of 1, the highest, counts as right; everything else does not.

    Scorers evaluate answers as Python here and there, so the workers are confined like those that run steps.
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier; its workers start with the first answer.

        Args:
            workers: answers at once, >= 1.
            limit_s: seconds of scoring one answer, > 0. Taking longer counts as wrong.
        """
        self._pool = WorkerPool(
            _MODULE,
            workers=workers,
            limit_s=limit_s,
            options={},
            decode=lambda payload: Grade(payload["correct"] is True, Status(payload["status"])),
            failure=lambda status: Grade(False, status),
            environment=_environment(),
        )

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start scoring. Raises `ProblemError` for a problem of another source, or where the package is not installed."""
        match = _ID.fullmatch(problem.id)
        if not match:
            raise ProblemError(f"problem {problem.id!r}: expected an id of the form {GYM}:DATASET:SIZE:SEED:INDEX")
        _check_installed(problem.id)
        request: dict[str, Any] = {
            "entry": (match[1], *map(int, match.groups()[1:])),
            "question": problem.question,
            "answer": answer,
        }
        return self._pool.submit(request)

    def close(self) -> None:
        """Stop the workers; answers that are not scored become `Status.LOST`. May be called again."""
        self._pool.close()

    def __enter__(self) -> "GymVerifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_installed(name: str) -> None:
    if find_spec(GYM) is None:
        raise ProblemError(f'{name}: needs the package `reasoning-gym`: pip install "rstar-fast[reasoning-gym]"')


def _environment() -> dict[str, str]:
    """Some generators draw from sets: the order of these must not change. Only a process with one thread can be confined."""
    return os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
