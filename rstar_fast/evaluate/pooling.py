"""Comparisons over several runs, such as self-evolutions with different seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.statistics import sign_test

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Pooled:
    """Comparison of two ways to solve the same problems in several runs.

    Attributes:
        runs: Number of runs.
        problems: Number of problems of each run.
        difference: Share of problems that the first way solved less that of the second way, on
            average over the runs.
        by_run: That difference in each run.
        interval: Ends of the 95% interval of the difference, by resampling runs and problems, each
            with replacement. It holds for other seeds and other problems alike. With as few as
            three runs it is somewhat too narrow.
        p_value: Probability that chance splits the problems on which the two ways differ on average
            over the runs at least as unevenly (sign test, exact, two-sided). It holds for these
            runs.
    """

    runs: int
    problems: int
    difference: float
    by_run: tuple[float, ...]
    interval: tuple[float, float]
    p_value: float

    def __str__(self) -> str:
        low, high = (100 * end for end in self.interval)
        runs = ", ".join(f"{100 * one:+.1f}" for one in self.by_run)
        return (
            f"{100 * self.difference:+.1f} [{low:+.1f}, {high:+.1f}] "
            f"(runs {runs}; p {self.p_value:.2g})"
        )


def pooled(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], seed: int = 0
) -> Pooled:
    """Compare two ways over several runs on the same problems.

    >>> str(pooled([[True, True], [True, False]], [[False, True], [False, False]]))
    '+50.0 [+0.0, +100.0] (runs +50.0, +50.0; p 1)'

    Args:
        first: Whether the first way solved each problem, or the share of its solutions that are
            right, run by run.
        second: The same of the second way, with the problems in the same order.
        seed: Seed of the resampling.

    Raises:
        ConfigError: There is no run or no problem, or the runs have different problems.
    """
    shapes = {len(run) for run in (*first, *second)}
    if len(first) != len(second) or len(shapes) != 1 or not all(shapes):
        raise ConfigError(
            "expected the same problems in every run, one run and one problem at least, got "
            f"{len(first)} and {len(second)} runs of {sorted(shapes)} problems"
        )
    gains = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    runs, problems = gains.shape
    random = np.random.default_rng(seed)
    means = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        # The runs share their problems, so both are drawn as wholes.
        drawn = random.multinomial(problems, np.full(problems, 1 / problems))
        chosen = random.integers(runs, size=runs)
        means[i] = (gains[chosen] @ drawn).mean() / problems
    low, high = np.quantile(means, [0.025, 0.975])
    of_problems = gains.mean(0)
    return Pooled(
        runs,
        problems,
        float(gains.mean()),
        tuple(map(float, gains.mean(1))),
        (float(low), float(high)),
        sign_test(int((of_problems > 0).sum()), int((of_problems < 0).sum())),
    )
