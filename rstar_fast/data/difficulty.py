"""Difficulty of a problem for a search, and the searches that follow (rStar-Math, section 3.4)."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from rstar_fast.checks import check_choice, check_integer
from rstar_fast.data.trajectories import require_grade
from rstar_fast.tree import Tree

Difficulty = Literal["easy", "medium", "hard"]
"""Class of a searched problem: all of its trajectories are right, some are, or none is.

A problem without a trajectory is hard.
"""

LAST_ROUND = 4
"""Number of the paper's last round."""
MIN_SYNTHETIC_SHARE = 0.5
"""Share of right trajectories below which the answer of a synthetic problem is in doubt."""


@dataclass(frozen=True, slots=True)
class SearchAgain:
    """Another search, with another seed, of problems that are still hard.

    Attributes:
        difficulties: Classes of the problems that are searched again.
        rollouts: Number of rollouts of the search, 1..1_000_000.

    Raises:
        ConfigError: A class is unknown, or `rollouts` is out of range.
    """

    difficulties: tuple[Difficulty, ...]
    rollouts: int

    def __post_init__(self) -> None:
        for each in self.difficulties:
            check_choice("difficulties", each, get_args(Difficulty))
        check_integer("rollouts", self.rollouts, 1, 1_000_000)


def difficulty(tree: Tree) -> Difficulty:
    """Return the class of a searched problem.

    Args:
        tree: Search of the problem. Use `merge` on several searches first.

    Raises:
        DataError: An answer was not graded.
    """
    grades = [require_grade(tree, node) for node in tree.finals()]
    if not any(grades):
        return "hard"
    return "easy" if all(grades) else "medium"


def share_correct(tree: Tree) -> float:
    """Return the share of right trajectories in a tree, in [0, 1]. It is 0 without trajectories.

    Raises:
        DataError: An answer was not graded.
    """
    grades = [require_grade(tree, node) for node in tree.finals()]
    return sum(grades) / len(grades) if grades else 0.0


def searches_again(round_number: int) -> tuple[SearchAgain, ...]:
    """Return the searches that the paper adds to the first search of a round, in order.

    The last round spends far more rollouts on the problems that are still unsolved.

    Args:
        round_number: Number of the round, from 1.
    """
    if round_number >= LAST_ROUND:
        return (SearchAgain(("hard",), 64), SearchAgain(("hard",), 128))
    return (SearchAgain(("hard", "medium"), 16),)


def without_doubtful(trees: Iterable[Tree], synthetic: Container[str]) -> list[Tree]:
    """Return the trees without those of synthetic problems whose answer is in doubt.

    The answer of a synthetic problem is in doubt if less than half of its trajectories are right.

    Args:
        trees: Trees of any problems, one for each problem.
        synthetic: Ids of the problems whose answers only a model gave.

    Raises:
        DataError: An answer to a synthetic problem was not graded.
    """
    return [
        tree
        for tree in trees
        if tree.problem.id not in synthetic or share_correct(tree) >= MIN_SYNTHETIC_SHARE
    ]
