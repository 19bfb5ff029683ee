"""Names of problems that the package `reasoning_gym` generates.

A source is `reasoning_gym:DATASET:SIZE[:SEED]`, and a problem's id adds the index of its entry.
`rstar_fast.verify.grade.gym` makes the entries and scores answers to them.
"""

import re
from dataclasses import dataclass

from rstar_fast.errors import ProblemError

GYM = "reasoning_gym"
MAX_SIZE = 1_000_000
"""Largest number of entries of one seed."""

_MAX_SEED = 4000
_SOURCE = re.compile(rf"{GYM}:(\w+):(\d{{1,7}})(?::(\d{{1,4}}))?")
_ID = re.compile(rf"{GYM}:(\w+):(\d{{1,7}}):(\d{{1,4}}):(\d{{1,7}})")


@dataclass(frozen=True, slots=True)
class GymDataset:
    """A data set of the package, cut to a size and drawn by a seed.

    Attributes:
        name: Name of the data set, such as "chain_sum".
        size: Number of entries, in 1..`MAX_SIZE`.
        seed: Seed of the entries, in 0..4000.
    """

    name: str
    size: int
    seed: int

    @classmethod
    def parse(cls, source: str) -> "GymDataset":
        """Read `reasoning_gym:DATASET:SIZE[:SEED]`. The seed is 0 if it is left out.

        Raises:
            ProblemError: The text has another form, or a number is out of range.
        """
        match = _SOURCE.fullmatch(source)
        if not match or not 1 <= int(match[2]) <= MAX_SIZE or int(match[3] or 0) > _MAX_SEED:
            raise ProblemError(
                f"{source}: expected {GYM}:DATASET:SIZE or {GYM}:DATASET:SIZE:SEED, "
                f"as in {GYM}:chain_sum:500:0"
            )
        return cls(match[1], int(match[2]), int(match[3] or 0))

    def problem_id(self, index: int) -> str:
        """Return the id of the problem made of entry `index`, 0..size - 1."""
        return f"{GYM}:{self.name}:{self.size}:{self.seed}:{index}"


def entry_of(problem_id: str) -> tuple[GymDataset, int]:
    """Return the data set and the entry's index that a problem's id names.

    Raises:
        ProblemError: The id has another form.
    """
    match = _ID.fullmatch(problem_id)
    if not match:
        raise ProblemError(
            f"problem {problem_id!r}: expected an id of the form {GYM}:DATASET:SIZE:SEED:INDEX"
        )
    return GymDataset(match[1], int(match[2]), int(match[3])), int(match[4])
