"""The domains of generated problems: what they are called, and how their problems are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rstar_fast.embedded import countdown, equations, problems
from rstar_fast.problems import Problem


@dataclass(frozen=True)
class Domain:
    """A domain of generated problems.

    Attributes:
        levels: Levels of each split, from easy to hard.
        make: Function that takes an index, a seed, a split and a level, and returns an object whose
            `problem` is the problem of an endless list.
    """

    levels: dict[str, tuple[int, ...]]
    make: Callable[[int, int, Any, int], Any]

    def problems(
        self, split: str, per_level: int, seed: int = 0, levels: Sequence[int] | None = None
    ) -> list[Problem]:
        """Return the first problems of each level, the levels in turn.

        Args:
            split: Split of the problems, one of `levels`.
            per_level: Number of problems of each level, >= 0.
            seed: Seed of the problems.
            levels: Levels to take, among the split's. None for all.
        """
        levels = self.levels[split] if levels is None else levels
        return [
            self.make(i, seed, split, level).problem for i in range(per_level) for level in levels
        ]

    def first(self, split: str, count: int, seed: int, levels: Sequence[int]) -> list[Problem]:
        """Return the first problems of some levels in turn, as many as asked for.

        Args:
            split: Split of the problems, one of `levels`.
            count: Number of problems, >= 0.
            seed: Seed of the problems.
            levels: Levels to take, among the split's.
        """
        return self.problems(split, -(-count // len(levels)), seed, levels)[:count]


_EVENTS = {
    "train": problems.LEVELS,
    "held_out": problems.LEVELS,
    # Plain wordings have no others.
    "reworded": problems.LEVELS[1:],
}
DOMAINS = {
    "graded": Domain(_EVENTS, problems.graded_problem),
    "told": Domain(_EVENTS, partial(problems.graded_problem, tells_digit=True)),
    "countdown": Domain(
        {"train": countdown.LEVELS, "held_out": countdown.LEVELS}, countdown.countdown
    ),
    "equations": Domain(
        {"train": equations.LEVELS, "held_out": equations.LEVELS}, equations.equation
    ),
}
"""Dated events ("graded"), the same with a last digit ("told"), puzzles and equations, by kind."""
