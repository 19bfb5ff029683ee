"""How many problems are solved, by each way to make one answer of many samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.samples import Choose, Sample, best, likeliest, vote, within
from rstar_fast.evaluate.statistics import Share, pass_at_k

Samples = Mapping[str, Sequence[Sample]]
"""By problem id; the order of the problems is that of the mapping."""
VOTERS = 8


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A way to solve problems, and how far it comes.

    Attributes:
        name: of the way.
        solved: by problem, in order: whether its answer is right.
        tokens: generated per problem, mean.
        samples: per problem, mean.
    """

    name: str
    solved: tuple[bool, ...]
    tokens: float
    samples: float

    @property
    def share(self) -> Share:
        """Solved problems among all."""
        return Share(sum(self.solved), len(self.solved))


def choose(name: str, samples: Samples, how: Choose) -> Accuracy:
    """Take one answer per problem; a problem without one is not solved.

    Raises:
        ConfigError: there are no problems.
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
    """Every way the samples allow: majority; with scores the best, the votes of the top few, plain and by score; likelihood.

    Args:
        samples: see `Samples`.
        prefix: of the names.
        top: how many of the best-scored vote (the paper: 4 to 8).
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
    """pass@k over problems, without bias; every problem needs k samples at least.

    The interval is that of so many solved problems among them: somewhat too wide, as a problem's own share is no coin.
    """
    shares = [
        pass_at_k(len(of_one), sum(one.correct for one in of_one), k) for of_one in samples.values()
    ]
    return Share(sum(shares), len(shares))


def at_equal_tokens(pool: Samples, spent: Samples) -> dict[str, list[Sample]]:
    """Of a pool of independent samples the first that cost each problem no more tokens than something else spent on it.

    One sample is always taken. Compare `Accuracy.tokens` of both: a pool that is too small for the budget shows there.

    Raises:
        ConfigError: the pool lacks a problem.
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
