"""Shares with their uncertainty, and differences between two ways to solve the same problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np

from rstar_fast.errors import ConfigError

Z_95 = 1.959963984540054
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Share:
    """Successes among trials.

    Attributes:
        successes: a fraction where trials are shares themselves (pass@k).
        trials: >= 1.
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
        """In [0, 1]."""
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% score interval (Wilson, 1927).

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
        # It holds the value, which rounding can miss where none or all succeed.
        return max(0.0, min(self.value, centre - half)), min(1.0, max(self.value, centre + half))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True, slots=True)
class Paired:
    """Two ways on the same problems.

    Attributes:
        problems: how many.
        only_first: problems that the first alone solved.
        only_second: and the second alone.
        difference: share of the first less that of the second.
        interval: of the difference, 95%, by resampling the problems.
        p_value: that so uneven a split of the problems on which they differ comes from chance (McNemar's test, exact, two-sided).
    """

    problems: int
    only_first: int
    only_second: int
    difference: float
    interval: tuple[float, float]
    p_value: float

    def __str__(self) -> str:
        low, high = (100 * end for end in self.interval)
        return f"{100 * self.difference:+.1f} [{low:+.1f}, {high:+.1f}] (+{self.only_first} -{self.only_second}, p {self.p_value:.2g})"


def paired(first: Sequence[bool], second: Sequence[bool], seed: int = 0) -> Paired:
    """Compare two ways problem by problem.

    Args:
        first: whether each problem was solved by the one way.
        second: and by the other, in the same order.
        seed: of the resampling.

    Raises:
        ConfigError: there are no problems, or not the same number of them.
    """
    if len(first) != len(second) or not first:
        raise ConfigError(
            f"expected the same problems on both sides, one at least, got {len(first)} and {len(second)}"
        )
    gains = np.asarray(first, np.int8) - np.asarray(second, np.int8)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    # A resample is decided by how many wins, losses and draws it drew.
    shares = np.array([wins, losses, len(gains) - wins - losses]) / len(gains)
    drawn = np.random.default_rng(seed).multinomial(len(gains), shares, _RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / len(gains), [0.025, 0.975])
    return Paired(
        len(gains),
        wins,
        losses,
        (wins - losses) / len(gains),
        (float(low), float(high)),
        _sign_test(wins, losses),
    )


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Chance that any of `k` samples is right, estimated without bias from more of them (Chen et al., 2021, equation 1).

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not 1 <= k <= samples or not 0 <= right <= samples:
        raise ConfigError(
            f"pass@k: expected 1 <= k <= samples and right ones among them, got k {k}, {right} right of {samples}"
        )
    return 1.0 - comb(samples - right, k) / comb(samples, k)


def _sign_test(wins: int, losses: int) -> float:
    """Two-sided exact test that wins and losses are equally likely."""
    trials = wins + losses
    tail: float = sum(comb(trials, k) for k in range(min(wins, losses) + 1)) / 2**trials
    return min(1.0, 2 * tail)
