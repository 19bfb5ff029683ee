"""Entries of the package `reasoning_gym` as problems, and its own scorers as their verifier.

This module runs in the main process. The package's code runs in confined workers (`gym_worker`),
which make an entry again from its id. The package's entry i of seed s is its entry i - 1 of seed
s + 1. A seed of ours is therefore multiplied by `MAX_SIZE`, so that two seeds share no entry.
"""

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
from rstar_fast.verify.grade.clones import GRACE_S
from rstar_fast.verify.grade.pooled import PooledVerifier
from rstar_fast.verify.pool.environment import scrubbed_environment
from rstar_fast.verify.pool.pool import WorkerPool

ANY_THAT_SCORES = "(any that its scorer accepts)"
"""Accepted answer of a problem whose entry has none, because only its scorer can tell."""

_MODULE = "rstar_fast.verify.grade.gym_worker"
_ENTRY_LIMIT_S = 30.0


def gym_problems(source: str, limit: int | None = None) -> list[Problem]:
    """Make the problems of a data set of `reasoning_gym`.

    An entry that cannot be made, because its generator raises or takes more than 30 s, is left out
    with a warning.

    Args:
        source: Name of the form `reasoning_gym:DATASET:SIZE[:SEED]`. SIZE is in 1..`MAX_SIZE`, and
            SEED in 0..4000. The seed is 0 if it is left out.
        limit: Number of entries to make from the front, >= 1. None makes all.

    Raises:
        ProblemError: The name has another form, the package is not installed, it has no such data
            set, or no entry can be made.
    """
    dataset = GymDataset.parse(source)
    _check_installed(source)
    problems, reasons = [], []
    with WorkerPool(
        _MODULE,
        workers=1,
        limit_s=_ENTRY_LIMIT_S + GRACE_S,
        options={"limit_s": _ENTRY_LIMIT_S},
        decode=_entry,
        failure=lambda status: _entry({"status": status}),
        environment=scrubbed_environment(),
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
    """Verifier that asks the scorer of a problem's data set. Only the highest score, 1, is right.

    Some scorers evaluate answers as Python. Every answer is therefore scored in a process of its
    own, which is confined as programs are. An answer that holds NaN or an infinity where a number
    is asked for is wrong, whatever the scorer says. So is every answer to an entry whose scorer
    takes nonsense too.
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier. Its workers start with the first answer.

        Args:
            workers: Number of answers that are scored at once, >= 1.
            limit_s: Seconds for scoring one answer, > 0. Taking longer counts as wrong.

        Raises:
            ConfigError: A number is out of range.
        """
        super().__init__(_MODULE, {}, workers, limit_s, confined=True)

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start scoring an answer.

        Raises:
            ProblemError: The problem is from another source, or the package is not installed.
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


def _entry(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a made entry, or why it could not be made."""
    if "status" in payload:
        return {"error": f"its process ended with status {payload['status']}"}
    return payload


SOURCE = Source(gym_problems, GymVerifier)
"""Source that the entry point `reasoning_gym` names."""
