"""What a self-evolution does: typed, validated, read from a TOML file."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rstar_fast.config import SearchConfig
from rstar_fast.data import PairRules, SearchAgain
from rstar_fast.errors import ConfigError
from rstar_fast.search.engines import DTYPES
from rstar_fast.training import TrainConfig

FIRST_ROUND_WITH_PPM = 3
SOURCES = ("problems", "held_out", "synthetic")
REPORTERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
}
"""Where the losses of trainings may go, and the packages of which one is needed for that."""


@dataclass(frozen=True, slots=True)
class RoundConfig:
    """How one round makes its data.

    Attributes:
        searches: of every problem, one or more; they are merged into one tree.
        again: further searches of problems that are still hard, in order; the first search's configuration, with these rollouts.
    """

    searches: tuple[SearchConfig, ...]
    again: tuple[SearchAgain, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """What is measured on held-out problems behind every round.

    Attributes:
        greedy: problems for the policy alone, >= 1: the first of `held_out`, of several sources in proportion.
        problems: for searches and samples, >= 1; the first, as above.
        searches: of a problem, whose answers vote, >= 1.
        samples: independent solutions of a problem, for majority and best-of-N, >= 1.
        search: how; `searches` of these are run, with the PPM's scores in place of the truth.
        held_out_pairs: share of the training problems whose pairs only measure the PPM, in (0, 1).
        baselines: also train an ORM and a PQM and choose by them, and search with the first round's policy and the round's PPM.
    """

    greedy: int = 500
    problems: int = 200
    searches: int = 4
    samples: int = 16
    search: SearchConfig = field(default_factory=SearchConfig)
    held_out_pairs: float = 0.1
    baselines: bool = True


@dataclass(frozen=True, slots=True)
class EvolveConfig:
    """A whole self-evolution; `read_options` reads one from a file.

    Attributes:
        base: folder or hub name of the model that every round's policy is trained from.
        bootstrap: of the policy that the first round searches with; the base if not given.
        problems: files or data sets to search, with answers; see `sources.read_problems`.
        held_out: files or data sets to measure on.
        synthetic: files or data sets of further problems to search whose answers only a model gave; may be empty.
        rounds: one or more.
        policy: how policies are trained.
        ppm: how PPMs (and their baselines) are trained.
        pairs: what is paired with what.
        earlier_rounds: PPMs (and their baselines) learn from the data of earlier rounds too; the paper: from the round's alone.
        solutions: of a problem for the policy to learn from, at most, >= 1.
        keep_solutions: of problems that a round did not solve the policy learns the solutions of the last round that did, but for
            synthetic ones whose answers the round finds doubtful; the paper: the round's alone.
        evaluate: what is measured.
        parts: processes that a search is split over, by problem, >= 1.
        dtype: of the models in searches, one of `DTYPES`; None for each engine's own choice.
        max_rows: candidates that a search's policy writes at once, >= 1; None for the engine's own default.
        report_to: where the losses of the trainings go, one of `REPORTERS`.
        seed: of everything, >= 0.
    """

    base: str
    problems: tuple[str, ...]
    held_out: tuple[str, ...]
    rounds: tuple[RoundConfig, ...]
    bootstrap: str = ""
    synthetic: tuple[str, ...] = ()
    policy: TrainConfig = field(default_factory=lambda: TrainConfig.preset("paper-policy"))
    ppm: TrainConfig = field(default_factory=lambda: TrainConfig.preset("paper-ppm"))
    pairs: PairRules = field(default_factory=PairRules)
    earlier_rounds: bool = False
    solutions: int = 2
    keep_solutions: bool = False
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    parts: int = 1
    dtype: str | None = None
    max_rows: int | None = None
    report_to: str = "none"
    seed: int = 0

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> "EvolveConfig":
        """A config from plain values, as `read_options` gives them.

        Raises:
            ConfigError: they say what is not understood.
        """
        plain = dict(options)
        search = _table(plain, "search")
        rounds = plain.pop("rounds", None)
        if not isinstance(rounds, Sequence) or isinstance(rounds, str) or not rounds:
            raise ConfigError("expected one [[rounds]] or more")
        _only(plain, [spec.name for spec in fields(cls)])
        if not isinstance(plain.get("base"), str) or not plain["base"]:
            raise ConfigError(f"base: expected a name, got {plain.get('base')!r}")
        for name in ("solutions", "parts", "max_rows"):
            if name != "max_rows" or plain.get(name) is not None:
                _at_least(plain, name, 1)
        _at_least(plain, "seed", 0)
        for name in ("earlier_rounds", "keep_solutions"):
            _true_or_false(plain, name)
        if plain.get("dtype") is not None and plain["dtype"] not in DTYPES:
            raise ConfigError(f"dtype: expected one of {', '.join(DTYPES)}, got {plain['dtype']!r}")
        _check_reporter(plain.get("report_to", "none"))
        evaluate = _table(plain, "evaluate")
        test_time = {
            "annotate_terminals_with_ground_truth": False,
            "use_scores": True,
            **search,
            **_table(evaluate, "search"),
        }
        return cls(
            **{
                **plain,
                **{name: _sources(plain, name) for name in SOURCES},
                "rounds": tuple(
                    _round(number, dict(each), search) for number, each in enumerate(rounds, 1)
                ),
                "policy": _training(_table(plain, "policy"), "paper-policy"),
                "ppm": _training(_table(plain, "ppm"), "paper-ppm"),
                "pairs": _pairs(_table(plain, "pairs")),
                "evaluate": _evaluate(evaluate, SearchConfig.from_dict(test_time)),
            }
        )

    @property
    def bootstrap_policy(self) -> str:
        """Folder or name of the policy of the first search."""
        return self.bootstrap or self.base


def read_options(path: str | Path) -> dict[str, Any]:
    """The plain values of a TOML file; names of files and folders that exist beside it become absolute.

    Raises:
        ConfigError: it cannot be read.
    """
    path = Path(path)
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for name in ("base", "bootstrap", *SOURCES):
        given = options.get(name)
        if isinstance(given, list):
            options[name] = [_beside(path, each) for each in given]
        elif given is not None:
            options[name] = _beside(path, given)
    return options


def _beside(path: Path, name: Any) -> Any:
    """The absolute name of what exists beside a file; any other as it is."""
    if isinstance(name, str) and name and (path.parent / name).exists():
        return str((path.parent / name).resolve())
    return name


def _sources(options: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """One source or a list of them; none of `synthetic` will do."""
    given = options.get(name)
    sources = given if isinstance(given, list | tuple) else [given] if given else []
    if not all(isinstance(source, str) and source for source in sources) or not (
        sources or name == "synthetic"
    ):
        raise ConfigError(f"{name}: expected a name or a list of names, got {given!r}")
    return tuple(sources)


def _check_reporter(name: Any) -> None:
    if not isinstance(name, str) or name not in REPORTERS:
        raise ConfigError(f"report_to: expected one of {', '.join(REPORTERS)}, got {name!r}")
    if REPORTERS[name] and not any(map(find_spec, REPORTERS[name])):
        raise ConfigError(
            f"report_to: {name} needs the package `{REPORTERS[name][0]}`: pip install {REPORTERS[name][0]}"
        )


def _round(number: int, options: dict[str, Any], common: Mapping[str, Any]) -> RoundConfig:
    defaults = {
        "annotate_terminals_with_ground_truth": True,
        "use_scores": number >= FIRST_ROUND_WITH_PPM,
    }
    first = {**defaults, **common, **_table(options, "search")}
    more = options.pop("more", [])
    again = options.pop("again", [])
    _only(options, [])
    if number == 1 and first["use_scores"]:
        raise ConfigError("rounds: the first round has no PPM yet: expected use_scores = false")
    try:
        return RoundConfig(
            tuple(SearchConfig.from_dict({**first, **changes}) for changes in ({}, *more)),
            tuple(SearchAgain(tuple(each["difficulties"]), each["rollouts"]) for each in again),
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"rounds: round {number}: expected `more` and `again` as lists of tables: {error!r}"
        ) from error


def _training(options: dict[str, Any], preset: str) -> TrainConfig:
    return TrainConfig.preset(options.pop("preset", preset), **options)


def _pairs(options: dict[str, Any]) -> PairRules:
    _only(options, [spec.name for spec in fields(PairRules)])
    return PairRules(**options)


def _evaluate(options: dict[str, Any], search: SearchConfig) -> EvaluateConfig:
    _only(options, [spec.name for spec in fields(EvaluateConfig)])
    for name in ("greedy", "problems", "searches", "samples"):
        _at_least(options, name, 1)
    _true_or_false(options, "baselines")
    share = options.get("held_out_pairs", 0.1)
    if isinstance(share, bool) or not isinstance(share, float) or not 0 < share < 1:
        raise ConfigError(f"evaluate: held_out_pairs: expected a number in (0, 1), got {share!r}")
    return EvaluateConfig(**{**options, "search": search})


def _table(options: dict[str, Any], name: str) -> dict[str, Any]:
    table = options.pop(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: expected a table, got {table!r}")
    return dict(table)


def _only(options: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ConfigError(
            f"unknown option {unknown[0]!r}; options here: {', '.join(known) or 'none'}"
        )


def _at_least(options: Mapping[str, Any], name: str, low: int) -> None:
    number = options.get(name, low)
    if isinstance(number, bool) or not isinstance(number, int) or number < low:
        raise ConfigError(f"{name}: expected an integer of at least {low}, got {number!r}")


def _true_or_false(options: Mapping[str, Any], name: str) -> None:
    if not isinstance(options.get(name, False), bool):
        raise ConfigError(f"{name}: expected true or false, got {options[name]!r}")
