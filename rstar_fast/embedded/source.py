"""The source of problems `graded:SPLIT:PER_LEVEL`."""

from typing import get_args

from rstar_fast.embedded.problems import Split, graded_problems
from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.problems.sources import Source


def read_graded(source: str, limit: int | None = None) -> list[Problem]:
    """Generate the problems of a source such as "graded:train:150".

    Args:
        source: Name of the source, with a split ("train", "held_out" or "reworded") and the number
            of problems of each level, >= 1.
        limit: Number of problems to take from the front. None takes all.

    Raises:
        ProblemError: There is no such split, or the number is not a count.
    """
    split, _, per_level = source.removeprefix("graded:").partition(":")
    splits: dict[str, Split] = {name: name for name in get_args(Split)}
    if split not in splits or not per_level.isdecimal() or not int(per_level):
        raise ProblemError(
            f"{source}: expected graded:SPLIT:PER_LEVEL, as in graded:train:150, with SPLIT one of "
            f"{', '.join(splits)}"
        )
    return [one.problem for one in graded_problems(splits[split], int(per_level))[:limit]]


SOURCE = Source(read_graded)
"""Source that the entry point `graded` names."""
