"""Accuracy of the ways to make one answer of many samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.samples import Choose, Sample, best, likeliest, vote, within
from rstar_fast.evaluate.statistics import Share, pass_at_k

Samples = Mapping[str, Sequence[Sample]]
"""Samples by problem id. The order of the mapping is the order of the problems."""
VOTERS = 8
"""Default number of best-scored samples that vote. The paper has 4 to 8."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A way to solve problems, and how many it solves.

    Attributes:
        name: Name of the way.
        solved: Whether the answer to each problem is right, in order of the problems.
        tokens: Mean number of tokens generated per problem.
        samples: Mean number of samples per problem.
    """

    name: str
    solved: tuple[bool, ...]
    tokens: float
    samples: float

    @property
    def share(self) -> Share:
        """Share of solved problems."""
        return Share(sum(self.solved), len(self.solved))


def choose(name: str, samples: Samples, how: Choose) -> Accuracy:
    """Choose one answer per problem and count the right ones. A problem without one is not solved.

    Args:
        name: Name of the result.
        samples: Samples by problem id.
        how: Function that chooses the answer.

    Raises:
        ConfigError: There are no problems.
    """
    if not samples:
        raise ConfigError(f"{name}: expected at least one problem, got none")
    chosen = [how(of_one) for of_one in samples.values()]
    return Accuracy(
        name,
        tuple(one is not None and one.correct for one in chosen),
        sum(one.tokens for of_one in samples.values() for one in of_one) / len(samples),
        sum(map(len, samples.values())) / len(samples),
    )


def selections(samples: Samples, prefix: str = "", top: int = VOTERS) -> list[Accuracy]:
    """Return the accuracy of every way to choose that the samples allow.

    Majority is always possible. If all answers have scores: the best one, the vote of the `top`
    best ones, the same vote weighted by score, and the weighted vote of all. If all answers have
    log-probabilities: the likeliest one.

    Args:
        samples: Samples by problem id.
        prefix: Text in front of every name.
        top: Number of best-scored samples that vote, >= 1.

    Raises:
        ConfigError: There are no problems, or only some answers of a problem have scores.
    """
    answered = [one for of_one in samples.values() for one in of_one if one.answer]
    ways: dict[str, Choose] = {"majority": vote}
    if all(one.score is not None for one in answered):
        ways |= {
            "best": best,
            f"vote of {top}": partial(vote, top=top),
            f"weighted vote of {top}": partial(vote, top=top, weighted=True),
            "weighted vote": partial(vote, weighted=True),
        }
    if answered and all(one.logprob is not None for one in answered):
        ways["likeliest"] = likeliest
    return [choose(prefix + name, samples, how) for name, how in ways.items()]


def pass_share(samples: Samples, k: int) -> Share:
    """Return pass@k over the problems, estimated without bias.

    The interval is that of as many solved problems among all. It is somewhat too wide, as a
    problem's own estimate is no coin toss.

    Args:
        samples: Samples by problem id, at least `k` for every problem.
        k: Number of samples of which one must be right, >= 1.

    Raises:
        ConfigError: A problem has fewer than `k` samples, `k` is below 1, or there are no problems.
    """
    shares = [
        pass_at_k(len(of_one), sum(one.correct for one in of_one), k) for of_one in samples.values()
    ]
    return Share(sum(shares), len(shares))


def at_equal_tokens(pool: Samples, spent: Samples) -> dict[str, list[Sample]]:
    """Return the first samples of a pool that cost no more tokens per problem than other samples.

    One sample is always taken. Compare `Accuracy.tokens` of both sides: it shows where the pool is
    too small for the tokens.

    Args:
        pool: Independent samples by problem id.
        spent: Samples by problem id, whose tokens are the budget of each problem.

    Raises:
        ConfigError: The pool lacks a problem.
    """
    missing = [problem for problem in spent if not pool.get(problem)]
    if missing:
        raise ConfigError(
            f"expected samples of every problem, got none of {', '.join(missing[:3])}"
        )
    return {
        problem: within(pool[problem], sum(one.tokens for one in of_one))
        for problem, of_one in spent.items()
    }
