"""Who solves what at which budget of generated tokens, by every way to choose an answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.samples import Sample, best, likeliest, unscored, vote
from rstar_fast.evaluate.statistics import Paired, Share, paired
from rstar_fast.evaluate.timelines import Timelines, known_by, sample_timeline

Solves = Callable[[Sequence[Sample]], bool]
"""Function that says whether a problem is solved by what is known of it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Which problems are solved at which budget.

    Attributes:
        problems: Ids of the problems.
        groups: Name of each problem's group, such as a domain.
        budgets: Numbers of generated tokens per problem, ascending.
        solved: Whether each problem is solved, by the name of the method and by budget.
    """

    problems: tuple[str, ...]
    groups: tuple[str, ...]
    budgets: tuple[int, ...]
    solved: Mapping[str, tuple[tuple[bool, ...], ...]]

    def flags(self, method: str, budget: int, group: str | None = None) -> list[bool]:
        """Return whether each problem of a group is solved.

        Args:
            method: Name of the method.
            budget: One of `budgets`.
            group: Name of the group. None for all problems.

        Raises:
            ConfigError: The method or the budget was not measured.
        """
        if method not in self.solved or budget not in self.budgets:
            raise ConfigError(
                f"expected a method among {', '.join(self.solved)} and a budget among "
                f"{', '.join(map(str, self.budgets))}, got {method!r} at {budget}"
            )
        solved = self.solved[method][self.budgets.index(budget)]
        return [flag for flag, of in zip(solved, self.groups, strict=True) if group in (None, of)]

    def share(self, method: str, budget: int, group: str | None = None) -> Share:
        """Return the share of solved problems, see `flags`."""
        flags = self.flags(method, budget, group)
        return Share(sum(flags), len(flags))

    def compare(self, first: str, second: str, budget: int, group: str | None = None) -> Paired:
        """Compare two methods problem by problem, see `flags`."""
        return paired(self.flags(first, budget, group), self.flags(second, budget, group))

    @property
    def group_names(self) -> list[str]:
        """Names of the groups, in order of appearance."""
        return list(dict.fromkeys(self.groups))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "problems": list(self.problems),
            "groups": list(self.groups),
            "budgets": list(self.budgets),
            "solved": {
                method: [list(map(int, flags)) for flags in by_budget]
                for method, by_budget in self.solved.items()
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measured":
        """Return what `to_dict` gave."""
        return cls(
            tuple(values["problems"]),
            tuple(values["groups"]),
            tuple(values["budgets"]),
            {
                method: tuple(tuple(map(bool, flags)) for flags in by_budget)
                for method, by_budget in values["solved"].items()
            },
        )


def measure(
    timelines: Mapping[str, tuple[Timelines, Solves]],
    groups: Mapping[str, str],
    budgets: Iterable[int],
) -> Measured:
    """Measure methods on the same problems at the same budgets.

    Args:
        timelines: What each method knows of each problem and when, and whether that solves it, by
            the method's name. A problem without a timeline is not solved.
        groups: Name of the group of each problem to measure on, by the problem's id.
        budgets: Numbers of generated tokens per problem.

    Raises:
        ConfigError: There is no problem or no budget.
    """
    at = tuple(sorted(budgets))
    if not groups or not at:
        raise ConfigError(f"expected problems and budgets, got {len(groups)} and {len(at)}")
    return Measured(
        tuple(groups),
        tuple(groups.values()),
        at,
        {
            name: tuple(
                tuple(solves(known_by(known.get(problem, ()), budget)) for problem in groups)
                for budget in at
            )
            for name, (known, solves) in timelines.items()
        },
    )


WITH_GREEDY = " with greedy"
"""End of the names of methods whose first sample is the greedy solution."""


def scored_sample_methods(
    scored: Mapping[str, tuple[Mapping[str, Sequence[Sample]], Mapping[str, Sequence[Sample]]]],
) -> dict[str, tuple[Timelines, Solves]]:
    """Return the methods of `sample_methods`, without and with the greedy solution.

    Methods whose first sample is the greedy solution have names that end with `WITH_GREEDY`. At few
    tokens they are far harder to beat.

    Args:
        scored: Greedy solution and independent samples of each problem with the scores of each
            model, by the model's name. At least one model.
    """
    methods: dict[str, tuple[Timelines, Solves]] = {}
    for suffix in ("", WITH_GREEDY):
        timelines = {
            name: {
                key: sample_timeline([*(greedy.get(key, ()) if suffix else ()), *of_one])
                for key, of_one in samples.items()
            }
            for name, (greedy, samples) in scored.items()
        }
        found = sample_methods(next(iter(timelines.values())), timelines)
        methods |= {f"{name}{suffix}": method for name, method in found.items()}
    return methods


def sample_methods(
    plain: Timelines, scored: Mapping[str, Timelines]
) -> dict[str, tuple[Timelines, Solves]]:
    """Return the methods that choose among independent samples.

    They are "majority", "pass" (any right one), "likeliest" where all log-probabilities are known,
    and "NAME: best" and "NAME: weighted vote" for each scorer that scored all answers.

    Args:
        plain: Timelines of the samples.
        scored: The same with the scores of each model, by the model's name.
    """
    methods: dict[str, tuple[Timelines, Solves]] = {
        "majority": (plain, _majority),
        "pass": (plain, _any_right),
    }
    if _all_have("logprob", plain):
        methods["likeliest"] = (plain, _by(likeliest))
    for name, timelines in scored.items():
        if _all_have("score", timelines):
            methods[f"{name}: best"] = (timelines, _by(best))
            methods[f"{name}: weighted vote"] = (timelines, _by(partial(vote, weighted=True)))
    return methods


def search_methods(name: str, timelines: Timelines) -> dict[str, tuple[Timelines, Solves]]:
    """Return the methods that choose among the answers of searches.

    They are "NAME: vote" (each answer by its weight), "NAME: pass" (any right one), and where all
    have scores "NAME: weighted vote" (by weight and score) and "NAME: best".

    Args:
        name: Name of the search.
        timelines: Timelines of the searches.
    """
    methods: dict[str, tuple[Timelines, Solves]] = {
        f"{name}: vote": (timelines, _majority),
        f"{name}: pass": (timelines, _any_right),
    }
    if _all_have("score", timelines):
        methods[f"{name}: weighted vote"] = (timelines, _by(partial(vote, weighted=True)))
        methods[f"{name}: best"] = (timelines, _by(best))
    return methods


def _majority(samples: Sequence[Sample]) -> bool:
    return _by(vote)(unscored(samples))


def _any_right(samples: Sequence[Sample]) -> bool:
    return any(one.correct for one in samples)


def _by(choose: Callable[[Sequence[Sample]], Sample | None]) -> Solves:
    def solves(samples: Sequence[Sample]) -> bool:
        chosen = choose(samples)
        return chosen is not None and chosen.correct

    return solves


def _all_have(field: str, timelines: Timelines) -> bool:
    return all(
        getattr(known.sample, field) is not None
        for timeline in timelines.values()
        for known in timeline
        if known.sample.answer
    )
