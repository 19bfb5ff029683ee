"""The sources of generated problems, `KIND:SPLIT:PER_LEVEL[:LEVELS]`."""

import re

from rstar_fast.embedded.domains import DOMAINS
from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.problems.sources import Source

_SOURCE = re.compile(r"(\w+):(\w+):([1-9][0-9]{0,8})(?::([0-9])(?:-([0-9]))?)?")


def read_generated(source: str, limit: int | None = None) -> list[Problem]:
    """Generate the problems of a source such as "countdown:train:100" or "graded:train:150:2-4".

    Args:
        source: Name of the source: a kind of `DOMAINS`, a split, the number of problems of each
            level, >= 1, and maybe a level or a range of levels. Without one all levels are taken.
        limit: Number of problems to take from the front. None takes all.

    Raises:
        ProblemError: The name has another form, or there is no such split or level.
    """
    match = _SOURCE.fullmatch(source)
    kind = source.partition(":")[0]
    domain = DOMAINS[kind]
    if not match or match[2] not in domain.levels:
        raise ProblemError(
            f"{source}: expected {kind}:SPLIT:PER_LEVEL or {kind}:SPLIT:PER_LEVEL:LEVELS, as in "
            f"{kind}:train:150 or {kind}:train:150:3-4, with SPLIT one of "
            f"{', '.join(domain.levels)}"
        )
    split, low, high = match[2], match[4], match[5] or match[4]
    levels = domain.levels[split]
    if low is not None:
        if not levels[0] <= int(low) <= int(high) <= levels[-1]:
            raise ProblemError(
                f"{source}: expected levels in {levels[0]}..{levels[-1]}, as in "
                f"{kind}:{split}:150:{levels[0]}-{levels[-1]}"
            )
        levels = tuple(range(int(low), int(high) + 1))
    return domain.problems(split, int(match[3]), levels=levels)[:limit]


SOURCE = Source(read_generated)
"""Source that the entry points `graded`, `told` and `equations` name."""
