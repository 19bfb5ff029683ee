"""How sure a tree is of its leading answer, and what more tokens could gain.

Answers are votes, and answers that are spelled alike are one. What the policy would answer in the
long run are unknown shares. Given votes v_1, ..., v_K, the shares of the K answers and of all
answers not seen yet together are Dirichlet(v_1, ..., v_K, 1): the posterior of a Dirichlet process
(Ferguson, 1973) whose prior has the mass of one vote. Votes may be fractions.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import exp, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

from rstar_fast.errors import ConfigError
from rstar_fast.tree import Node
from rstar_fast.verify.grade.spelling import Spelling, spelling

PRIOR = 1.0
"""Number of votes for an answer not seen yet."""
DECIMALS = 6
"""Number of decimals of a posterior. Fewer than machines agree on."""
_POINTS = 1024
_LEFT = -30.0


class Ballot:
    """The votes of a tree.

    A final answer has one vote, which counts by its PPM score, moved from [-1, 1] to [0, 1], where
    it has one. What an answer is worth by the known answers does not count.

    Attributes:
        votes: Sum of the votes of each distinct answer, in order of first appearance.
        counts: Number of votes of each distinct answer.
        dead_ends: Number of paths that ended without an answer.
    """

    def __init__(self) -> None:
        self.votes: dict[Spelling, float] = {}
        self.counts: dict[Spelling, int] = {}
        self.dead_ends = 0

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> "Ballot":
        """Return the votes of the nodes of a tree."""
        ballot = cls()
        ballot.take(nodes)
        return ballot

    def take(self, nodes: Iterable[Node]) -> None:
        """Count the votes of more nodes of the tree."""
        for node in nodes:
            if node.answer and node.end == "answer":
                self.cast(node.answer, 1.0 if node.score is None else (node.score + 1) / 2)
            elif node.end not in ("", "budget"):
                self.dead_ends += 1

    def cast(self, answer: str, weight: float) -> None:
        """Count one vote."""
        form = spelling(answer)
        self.votes[form] = self.votes.get(form, 0.0) + weight
        self.counts[form] = self.counts.get(form, 0) + 1

    def lead(self) -> int:
        """Return by how many votes the answer given most often leads, weights left aside."""
        first, second, *_ = *sorted(self.counts.values(), reverse=True), 0, 0
        return first - second

    def sure(self) -> float | None:
        """Return the probability that the leading answer has the largest share, see `sureness`."""
        if not self.votes:
            return None
        masses = self._masses()
        return round(_largest(masses), DECIMALS) if masses else 0.0

    def gain(self) -> float:
        r"""Return the probability of a right answer that knowing the shares would add.

        A policy is taken to be right as often as it says so: an answer with the share p is right
        with probability p. Paths without an answer have a share too. With N votes in all, theirs
        and the prior's among them, the leading answer is right with probability v_1 / N now, and
        max(p_1, ..., p_K, p_new) would be reached in the end. So the gain is
        E[max p] - v_1 / N, the expected value of perfect information (Raiffa and Schlaifer, 1961).
        """
        masses = self._masses()
        whole = sum(masses) + PRIOR + self.dead_ends
        now = masses[0] if masses else 0.0
        return max(0.0, round((_mean_of_largest((*masses, PRIOR)) - now) / whole, DECIMALS))

    def _masses(self) -> tuple[float, ...]:
        return tuple(sorted(filter(None, self.votes.values()), reverse=True))


def sureness(answers: Iterable[str], weights: Iterable[float] | None = None) -> float | None:
    """Return the posterior probability that the leading answer has the largest share in the end.

    It is P(p_1 > p_k for all k) under the Dirichlet posterior of this module, where p_1 is the
    share of the answer with the most votes. All answers not seen yet count as one rival. This is
    the stopping criterion of adaptive consistency (Aggarwal et al., 2023) over all rivals at once.

    >>> [sureness(["5"] * n) for n in (1, 2, 3, 7)]
    [0.5, 0.75, 0.875, 0.992188]
    >>> sureness(["5", "5.0", "5", "8"]) < sureness(["5", "5.0", "5"])
    True

    Args:
        answers: Answers that were given. Empty ones do not count.
        weights: Weight of each vote, in [0, 1]. None for 1 each.

    Returns:
        The probability, to 6 decimals. None without answers.

    Raises:
        ConfigError: There are more answers than weights or fewer, or a weight is out of range.
    """
    answers = list(answers)
    weights = [1.0] * len(answers) if weights is None else list(weights)
    if len(answers) != len(weights) or not all(0.0 <= weight <= 1.0 for weight in weights):
        raise ConfigError(
            f"sureness: expected a weight in [0, 1] for each of {len(answers)} answers, "
            f"got {weights}"
        )
    ballot = Ballot()
    for answer, weight in zip(answers, weights, strict=True):
        if answer:
            ballot.cast(answer, weight)
    return ballot.sure()


@lru_cache(maxsize=4096)
def _largest(masses: tuple[float, ...]) -> float:
    """Return the probability that the first of Dirichlet shares is larger than all others.

    Shares are independent gamma variables over their sum, so it is the integral of the density of
    the first times the distribution functions of the others.

    Args:
        masses: Parameters of the shares but that of unseen answers, all above 0.
    """
    density, below, step, _ = _gammas([*masses, PRIOR])
    return min(1.0, float((density[0] * below[1:].prod(axis=0)).sum() * step))


@lru_cache(maxsize=4096)
def _mean_of_largest(masses: tuple[float, ...]) -> float:
    """Return the mean of the largest of independent gamma variables of these shapes."""
    _, below, step, points = _gammas(masses)
    # The mean is the integral of the probability that the largest is above a point.
    return float(((1.0 - below.prod(axis=0)) * points).sum() * step)


def _gammas(
    shapes: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]]:
    """Return gamma distributions on a grid of logarithms.

    Returns:
        Density of the logarithm of each variable and its distribution function, float64
        [shapes, points], the width of the grid, and its points, float64 [points].
    """
    most = max(shapes)
    grid, step = np.linspace(
        _LEFT, log(most + 10 * sqrt(most) + 40), _POINTS, retstep=True, dtype=np.float64
    )
    points = np.exp(grid)
    column = np.array(shapes, np.float64)[:, None]
    norms = np.array([lgamma(shape) for shape in shapes])[:, None]
    density = np.exp(column * grid - points - norms)
    slope = density * (column - points)
    first = np.array([exp(shape * _LEFT - lgamma(shape + 1)) for shape in shapes])[:, None]
    # The trapezoidal rule with its end correction (Euler and Maclaurin).
    below = first + step * (density.cumsum(axis=1) - (density + density[:, :1]) / 2)
    below -= step**2 / 12 * (slope - slope[:, :1])
    return density, below.clip(0.0, 1.0), float(step), points
