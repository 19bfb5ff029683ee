"""Problems by the name of their source, and who grades their answers."""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import get_args

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem, load_problems
from rstar_fast.verify.base import Grade
from rstar_fast.verify.grading import MathVerifier
from rstar_fast.verify.gym import GymVerifier, gym_problems, is_gym


def read_problems(source: str, limit: int | None = None) -> list[Problem]:
    """Problems of a file, of a data set, of `reasoning_gym:DATASET:SIZE[:SEED]` or of the package's own `graded:SPLIT:PER_LEVEL`.

    Args:
        source: see `load_problems`, `verify.gym.gym_problems` and `embedded.problems`.
        limit: how many to take from the front, >= 1; None takes all.

    Raises:
        ProblemError: there is no such source.
    """
    if limit is not None and limit < 1:
        raise ProblemError(f"limit: expected at least 1 problem, got {limit}")
    if is_gym(source):
        return gym_problems(source, limit)
    if source.startswith("graded:"):
        return _graded(source)[:limit]
    return load_problems(source, limit)


def read_sources(sources: Iterable[str]) -> list[Problem]:
    """Problems of several sources, mixed so that the first N hold each source in proportion, and each in its own order.

    Raises:
        ProblemError: there is no such source.
    """
    found = map(read_problems, sources)
    placed = [(place / len(problems), problem) for problems in found for place, problem in enumerate(problems, 1)]
    return [problem for _, problem in sorted(placed, key=lambda pair: pair[0])]


class SourceVerifier:
    """Grades by a problem's source: those of `reasoning_gym` by their own scorers, all others as mathematics."""

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier; workers of either kind start with the first answer for them.

        Args:
            workers: answers of either kind at once, >= 1.
            limit_s: seconds of grading one answer, > 0. Taking longer counts as wrong.
        """
        self._math = MathVerifier(workers, limit_s)
        self._gym = GymVerifier(workers, limit_s)

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Start grading. Raises `ProblemError` for a problem that cannot be graded."""
        return (self._gym if is_gym(problem.id) else self._math).submit(problem, answer)

    def close(self) -> None:
        """Stop the workers. May be called again."""
        self._math.close()
        self._gym.close()

    def __enter__(self) -> "SourceVerifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _graded(source: str) -> list[Problem]:
    from rstar_fast.embedded.problems import Split, graded_problems

    split, _, per_level = source.removeprefix("graded:").partition(":")
    splits = {name: name for name in get_args(Split)}
    if split not in splits or not per_level.isdecimal() or not int(per_level):
        raise ProblemError(f"{source}: expected graded:SPLIT:PER_LEVEL, SPLIT one of {', '.join(splits)}, as in graded:train:150")
    return [one.problem for one in graded_problems(splits[split], int(per_level))]
