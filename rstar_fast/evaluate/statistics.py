"""Shares with their uncertainty, and comparisons of two ways to solve the same problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np

from rstar_fast.errors import ConfigError

Z_95 = 1.959963984540054
"""Quantile of the normal distribution that gives two-sided 95% intervals."""
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Share:
    """Successes among trials.

    Attributes:
        successes: Number of successes. A fraction where trials are shares themselves (pass@k).
        trials: Number of trials, >= 1.

    Raises:
        ConfigError: There are no trials, or the successes are not among them.
    """

    successes: float
    trials: int

    def __post_init__(self) -> None:
        if self.trials < 1 or not 0 <= self.successes <= self.trials:
            raise ConfigError(
                f"expected successes among at least 1 trial, got {self.successes} of {self.trials}"
            )

    @property
    def value(self) -> float:
        """Share of successes, in [0, 1]."""
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95% score interval (Wilson, 1927).

        >>> [round(end, 4) for end in Share(8, 10).interval]
        [0.4902, 0.9433]
        """
        spread = Z_95**2 / self.trials
        centre = (self.value + spread / 2) / (1 + spread)
        half = (
            Z_95
            * sqrt(self.value * (1 - self.value) / self.trials + spread / (4 * self.trials))
            / (1 + spread)
        )
        # The interval contains the value. Rounding can miss that where none or all succeed.
        return max(0.0, min(self.value, centre - half)), min(1.0, max(self.value, centre + half))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True, slots=True)
class Paired:
    """Comparison of two ways to solve the same problems.

    >>> str(paired([False, False, True], [True, True, True]))
    '-66.7 [-100.0, +0.0] (+0 -2, p 0.5)'

    Attributes:
        problems: Number of problems.
        only_first: Number of problems that only the first way solved.
        only_second: Number of problems that only the second way solved.
        difference: Share of problems that the first way solved less that of the second way.
        interval: Ends of the 95% interval of the difference, by resampling the problems.
        p_value: Probability that chance splits the problems on which the two ways differ at least
            as unevenly (McNemar's test, exact, two-sided).
    """

    problems: int
    only_first: int
    only_second: int
    difference: float
    interval: tuple[float, float]
    p_value: float

    def __str__(self) -> str:
        low, high = (100 * end for end in self.interval)
        return (
            f"{100 * self.difference:+.1f} [{low:+.1f}, {high:+.1f}] "
            f"(+{self.only_first} -{self.only_second}, p {self.p_value:.2g})"
        )

    def sentence(self, first: str, second: str, what: str = "problems") -> str:
        """Return the comparison as a sentence for reports.

        An example is "search solves 66.7 points fewer than majority (95% interval -100 to 0;
        better on 0 problems, worse on 2; p = 0.5)".

        Args:
            first: Name of the first way.
            second: Name of the second way.
            what: Plural of what is solved. It ends in "s".
        """
        if self.difference:
            points = _points(abs(self.difference))
            unit = "point" if points == "1" else "points"
            amount = f"{points} {unit} {'more' if self.difference > 0 else 'fewer'} than {second}"
        else:
            amount = f"as many {what} as {second}"
        low, high = map(_points, self.interval)
        noun = what.removesuffix("s") if self.only_first == 1 else what
        return (
            f"{first} solves {amount} (95% interval {low} to {high}; "
            f"better on {self.only_first} {noun}, worse on {self.only_second}; "
            f"p = {self.p_value:.2g})"
        )


def paired(first: Sequence[bool], second: Sequence[bool], seed: int = 0) -> Paired:
    """Compare two ways problem by problem.

    Args:
        first: Whether the first way solved each problem.
        second: Whether the second way solved each problem, in the same order.
        seed: Seed of the resampling.

    Raises:
        ConfigError: There are no problems, or the two sides differ in their number.
    """
    if len(first) != len(second) or not first:
        raise ConfigError(
            "expected the same problems on both sides, one at least, "
            f"got {len(first)} and {len(second)}"
        )
    gains = np.asarray(first, np.int8) - np.asarray(second, np.int8)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    # A resample is decided by the numbers of wins, losses and draws in it.
    shares = np.array([wins, losses, len(gains) - wins - losses]) / len(gains)
    drawn = np.random.default_rng(seed).multinomial(len(gains), shares, _RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / len(gains), [0.025, 0.975])
    return Paired(
        len(gains),
        wins,
        losses,
        (wins - losses) / len(gains),
        (float(low), float(high)),
        sign_test(wins, losses),
    )


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Return the chance that any of `k` samples is right, estimated from more of them without bias.

    This is equation 1 of Chen et al. (2021).

    >>> pass_at_k(4, 1, 2)
    0.5

    Args:
        samples: Number of samples, >= k.
        right: Number of right samples among them.
        k: Number of samples of which one must be right, >= 1.

    Raises:
        ConfigError: A number is out of range.
    """
    if not 1 <= k <= samples or not 0 <= right <= samples:
        raise ConfigError(
            "pass@k: expected 1 <= k <= samples and 0 <= right <= samples, "
            f"got k {k}, {right} right of {samples}"
        )
    return 1.0 - comb(samples - right, k) / comb(samples, k)


def _points(share: float) -> str:
    """Return a share as percentage points, to three digits. A negative zero loses its sign."""
    return f"{100 * share + 0.0:.3g}"


def sign_test(wins: int, losses: int) -> float:
    """Return the p-value of the two-sided exact test that wins and losses are equally likely."""
    trials = wins + losses
    tail: float = sum(comb(trials, k) for k in range(min(wins, losses) + 1)) / 2**trials
    return min(1.0, 2 * tail)
