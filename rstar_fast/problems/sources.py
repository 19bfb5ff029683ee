"""Problems by the name of their source.

A source is a file, a Hugging Face data set, or `KIND:...` for a kind that a package registers. This
package registers `reasoning_gym:DATASET:SIZE[:SEED]` and `graded:SPLIT:PER_LEVEL`. To register a
kind, a package declares an entry point of the group `rstar_fast.problem_sources`. The entry point's
name is the kind, and its object is a `Source`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from rstar_fast.errors import ProblemError
from rstar_fast.problems.files import check_limit, load_problems
from rstar_fast.problems.problem import Problem

GROUP = "rstar_fast.problem_sources"
"""Group of the entry points that register kinds."""


@dataclass(frozen=True, slots=True)
class Source:
    """A registered kind of problem source.

    Attributes:
        read: Function that takes the name of a source, such as "graded:train:150", and the largest
            number of problems to return (None for all). It returns the problems, and raises
            `ProblemError` for a name that it does not understand.
        verifier: Function that takes `workers` and `limit_s` and makes the `Verifier` of these
            problems. None where answers are graded as mathematics.
    """

    read: Callable[[str, int | None], list[Problem]]
    verifier: Callable[[int, float], Any] | None = None


@cache
def registered_source(kind: str) -> Source | None:
    """Return the source that is registered for a kind, or None.

    Raises:
        ProblemError: The registered object is not a `Source`.
    """
    for entry in entry_points(group=GROUP, name=kind):
        source = entry.load()
        if not isinstance(source, Source):
            raise ProblemError(
                f"entry point {kind} = {entry.value!r} of {GROUP}: "
                f"expected a Source, got {type(source).__name__}"
            )
        return source
    return None


def kind_of(name: str) -> str:
    """Return the part of a source's name or a problem's id before its first colon.

    A text without a colon has the kind "".
    """
    kind, colon, _ = name.partition(":")
    return kind if colon else ""


def read_problems(source: str, limit: int | None = None) -> list[Problem]:
    """Read the problems of a file, of a data set, or of a registered kind of source.

    Args:
        source: Name of the source. See `load_problems` for files and data sets.
        limit: Number of problems to take from the front, >= 1. None takes all.

    Raises:
        ProblemError: There is no such source, or a problem in it is malformed.
    """
    check_limit(limit)
    registered = registered_source(kind_of(source))
    return registered.read(source, limit) if registered else load_problems(source, limit)


def read_sources(sources: Iterable[str]) -> list[Problem]:
    """Read several sources and mix their problems evenly.

    The first N problems hold each source in proportion to its size. The order within a source is
    kept.

    Raises:
        ProblemError: There is no such source, or a problem in it is malformed.
    """
    found = map(read_problems, sources)
    placed = [
        (place / len(problems), problem)
        for problems in found
        for place, problem in enumerate(problems, 1)
    ]
    return [problem for _, problem in sorted(placed, key=lambda pair: pair[0])]
