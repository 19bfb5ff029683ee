"""Configuration of the measurements after every round of a self-evolution."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from rstar_fast.checks import check_choice, check_integer, check_known, check_number
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.evolve.tables import take_table

Baselines = Literal["last", "all", "none"]
"""Rounds that have baselines."""


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Numbers of held-out problems and solutions for the measurements after every round.

    Attributes:
        greedy: Number of problems for the policy alone, >= 1. They are taken from the front, in
            proportion from each source of `held_out`.
        problems: Number of problems for searches and samples, >= 1, taken in the same way.
        searches: Number of searches of each problem, >= 1. Their answers vote.
        samples: Number of independent solutions of each problem, for majority and best-of-N, >= 1.
        budgets: Numbers of generated tokens per problem at which all methods are compared. Where
            there are any, each problem is searched and sampled again until its searches, and its
            samples, have generated as many tokens as the largest.
        search: Configuration of the searches. The PPM's scores replace the truth in it.
        held_out_pairs: Share of the training problems whose pairs measure the PPM and train
            nothing, in (0, 1).
        baselines: Rounds in which an ORM and a PQM are trained too, to choose among the samples,
            and in which the first round's policy searches with the round's PPM: the "last" one,
            "all" or "none".
    """

    greedy: int = 500
    problems: int = 200
    searches: int = 4
    samples: int = 16
    budgets: tuple[int, ...] = ()
    search: SearchConfig = field(default_factory=SearchConfig)
    held_out_pairs: float = 0.1
    baselines: Baselines = "last"

    def __post_init__(self) -> None:
        for name in ("greedy", "problems", "searches", "samples"):
            check_integer(f"evaluate: {name}", getattr(self, name), low=1)
        for budget in self.budgets:
            check_integer("evaluate: budgets", budget, low=1)
        check_number(
            "evaluate: held_out_pairs",
            self.held_out_pairs,
            low=0,
            high=1,
            low_excluded=True,
            high_excluded=True,
        )
        check_choice("evaluate: baselines", self.baselines, get_args(Baselines))

    @classmethod
    def from_dict(cls, options: Mapping[str, Any], common: Mapping[str, Any]) -> "EvaluateConfig":
        """Return the config of the [evaluate] table.

        Args:
            options: Table with the attributes' names. `search` is a table of search options.
            common: Search options of all rounds, which `search` changes.

        Raises:
            ConfigError: An option is unknown or has a wrong value.
        """
        check_known(options, [spec.name for spec in fields(cls)], where="evaluate: ")
        plain = dict(options)
        at_test_time = {"annotate_terminals_with_ground_truth": False, "use_scores": True}
        search = SearchConfig.from_dict({**at_test_time, **common, **take_table(plain, "search")})
        budgets = plain.pop("budgets", ())
        if not isinstance(budgets, list | tuple):
            raise ConfigError(f"evaluate: budgets: expected a list of numbers, got {budgets!r}")
        return cls(**plain, budgets=tuple(budgets), search=search)
