"""How hard a problem was for a search, and what that asks for (rStar-Math, section 3.4)."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

from rstar_fast.data.trajectories import require_grade
from rstar_fast.tree import Tree

Difficulty = Literal["easy", "medium", "hard"]
"""All trajectories right; some; none (no trajectory at all included)."""

LAST_ROUND = 4
MIN_SYNTHETIC_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class SearchAgain:
    """Another search, by another seed, of the problems that are still this hard.

    Attributes:
        difficulties: of which classes.
        rollouts: of the search.
    """

    difficulties: tuple[Difficulty, ...]
    rollouts: int


def difficulty(tree: Tree) -> Difficulty:
    """The class of a searched problem; of several searches give their `merge`.

    Raises:
        DataError: an answer was not graded.
    """
    grades = [require_grade(tree, node) for node in tree.finals()]
    if not any(grades):
        return "hard"
    return "easy" if all(grades) else "medium"


def share_correct(tree: Tree) -> float:
    """Share of right ones among a tree's trajectories, in [0, 1]; 0 without any."""
    grades = [require_grade(tree, node) for node in tree.finals()]
    return sum(grades) / len(grades) if grades else 0.0


def searches_again(round_number: int) -> tuple[SearchAgain, ...]:
    """The searches of a round, counted from 1, behind its first one, in order.

    The last round goes on with what is still unsolved, by far more rollouts.
    """
    if round_number >= LAST_ROUND:
        return (SearchAgain(("hard",), 64), SearchAgain(("hard",), 128))
    return (SearchAgain(("hard", "medium"), 16),)


def without_doubtful(trees: Iterable[Tree], synthetic: Container[str]) -> list[Tree]:
    """The trees but for those of synthetic problems less than half of whose trajectories are right: their answer is in doubt.

    Args:
        trees: of any problems.
        synthetic: ids of the problems whose answers nobody but a model gave.
    """
    return [
        tree
        for tree in trees
        if tree.problem.id not in synthetic or share_correct(tree) >= MIN_SYNTHETIC_SHARE
    ]
