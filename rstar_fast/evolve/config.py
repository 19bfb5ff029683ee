"""Configuration of a self-evolution: typed and validated. `options.read_options` reads its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any, Literal

from rstar_fast.checks import check_boolean, check_choice, check_integer, check_known
from rstar_fast.data import PairRules
from rstar_fast.errors import ConfigError
from rstar_fast.evolve.evaluate_config import EvaluateConfig
from rstar_fast.evolve.round_config import RoundConfig
from rstar_fast.evolve.tables import take_table
from rstar_fast.models import DTYPES
from rstar_fast.training import TrainConfig

SOURCES = ("problems", "held_out", "synthetic")
"""Names of the options that list problem files and data sets."""
REPORTERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
}
"""Places for the losses of trainings. Each needs one of its packages."""


@dataclass(frozen=True, slots=True)
class EvolveConfig:
    """Configuration of a whole self-evolution.

    Attributes:
        base: Folder or hub name of the model that every round's policy is trained from.
        problems: Files or data sets of the problems to search, with answers; see `read_problems`.
        held_out: Files or data sets of the problems to measure on.
        rounds: Configurations of the rounds, one or more.
        bootstrap: Folder or hub name of the policy that searches in the first round. Empty for the
            base.
        synthetic: Files or data sets of further problems to search, whose answers come from a model
            only. May be empty.
        policy: Configuration of the training of policies.
        ppm: Configuration of the training of PPMs and of the models that they are compared with.
        scorers_from: Model that PPMs and the models that they are compared with start from: the
            round's "policy", as in the paper, or the "base".
        pairs: Rules for making preference pairs.
        earlier_rounds: Whether PPMs and the models that they are compared with learn from the data
            of earlier rounds too. In the paper they learn from their own round's data alone.
        ppm_guides: Whether PPMs guide the searches that make data, from the third round on. Without
            it known answers alone guide all of them, which shows what the PPM is worth to the
            policies.
        solutions: Number of solutions of each problem that the policy learns from, >= 1. A problem
            with fewer gives what it has.
        trajectories: Number of trajectories of each problem that the models learn from that a PPM
            is compared with, >= 1. Half of them are right and half wrong where there are enough.
        keep_solutions: Whether the policy also learns, for each problem that this round did not
            solve, the solutions of the last round that did. Synthetic problems whose answers this
            round finds doubtful are left out. In the paper it learns from its own round's solutions
            alone.
        evaluate: Configuration of the measurements.
        parts: Number of stages that a search of the training problems is split into, >= 1.
        dtype: Type of the models' weights in searches, one of `DTYPES`. None for each engine's
            default.
        max_rows: Number of candidates that a search's policy writes at once, >= 1. None for the
            engine's default.
        report_to: Place for the losses of trainings, one of `REPORTERS`.
        seed: Seed of all random draws, >= 0.

    Raises:
        ConfigError: A value is out of range, or `report_to` needs a package that is not installed.
    """

    base: str
    problems: tuple[str, ...]
    held_out: tuple[str, ...]
    rounds: tuple[RoundConfig, ...]
    bootstrap: str = ""
    synthetic: tuple[str, ...] = ()
    policy: TrainConfig = field(default_factory=lambda: TrainConfig.preset("paper-policy"))
    ppm: TrainConfig = field(default_factory=lambda: TrainConfig.preset("paper-ppm"))
    scorers_from: Literal["policy", "base"] = "policy"
    pairs: PairRules = field(default_factory=PairRules)
    earlier_rounds: bool = False
    ppm_guides: bool = True
    solutions: int = 2
    trajectories: int = 16
    keep_solutions: bool = False
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    parts: int = 1
    dtype: str | None = None
    max_rows: int | None = None
    report_to: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.base, str) or not self.base:
            raise ConfigError(f"base: expected a name, got {self.base!r}")
        for name in ("solutions", "trajectories", "parts"):
            check_integer(name, getattr(self, name), low=1)
        if self.max_rows is not None:
            check_integer("max_rows", self.max_rows, low=1)
        check_integer("seed", self.seed, low=0)
        for name in ("earlier_rounds", "ppm_guides", "keep_solutions"):
            check_boolean(name, getattr(self, name))
        check_choice("scorers_from", self.scorers_from, ("policy", "base"))
        if self.dtype is not None:
            check_choice("dtype", self.dtype, DTYPES)
        _check_reporter(self.report_to)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> "EvolveConfig":
        """Return the config of plain values, as `read_options` gives them.

        Args:
            options: Values by the attributes' names, and `search`: a table of search options for
                all rounds. `policy` and `ppm` are tables with a `preset` and changes to it.
                `rounds` is a list of tables, see `RoundConfig.from_dict`. Not changed.

        Raises:
            ConfigError: An option is unknown or has a wrong value.
        """
        plain = dict(options)
        search = take_table(plain, "search")
        rounds = plain.pop("rounds", None)
        if not isinstance(rounds, Sequence) or isinstance(rounds, str) or not rounds:
            raise ConfigError(f"rounds: expected one [[rounds]] table or more, got {rounds!r}")
        check_known(plain, [spec.name for spec in fields(cls)])
        return cls(
            **{
                **plain,
                "base": plain.get("base"),
                **{name: _sources(plain, name) for name in SOURCES},
                "rounds": tuple(
                    RoundConfig.from_dict(number, each, search, plain.get("ppm_guides", True))
                    for number, each in enumerate(rounds, 1)
                ),
                "policy": _training(take_table(plain, "policy"), "paper-policy"),
                "ppm": _training(take_table(plain, "ppm"), "paper-ppm"),
                "pairs": _pairs(take_table(plain, "pairs")),
                "evaluate": EvaluateConfig.from_dict(take_table(plain, "evaluate"), search),
            }
        )

    @property
    def bootstrap_policy(self) -> str:
        """Folder or hub name of the policy of the first search."""
        return self.bootstrap or self.base


def _sources(options: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the sources of an option, which may be one name. Only `synthetic` may have none."""
    given = options.get(name)
    sources = given if isinstance(given, list | tuple) else [given] if given else []
    if not all(isinstance(source, str) and source for source in sources) or not (
        sources or name == "synthetic"
    ):
        raise ConfigError(f"{name}: expected a name or a list of names, got {given!r}")
    return tuple(sources)


def _check_reporter(name: str) -> None:
    """Raise `ConfigError` unless it is a known place for losses and its package is installed."""
    check_choice("report_to", name, tuple(REPORTERS))
    packages = REPORTERS[name]
    if packages and not any(map(find_spec, packages)):
        raise ConfigError(
            f"report_to: {name} needs the package `{packages[0]}`: pip install {packages[0]}"
        )


def _training(options: dict[str, Any], preset: str) -> TrainConfig:
    """Return a preset with the table's changes. The table may name another preset."""
    return TrainConfig.preset(options.pop("preset", preset), **options)


def _pairs(options: dict[str, Any]) -> PairRules:
    check_known(options, [spec.name for spec in fields(PairRules)], where="pairs: ")
    return PairRules(**options)
