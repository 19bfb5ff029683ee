"""Summaries of the finished rounds of a self-evolution, read from its manifests. Needs no torch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rstar_fast.errors import ConfigError, StoreError, described
from rstar_fast.evaluate import Measured, Paired, Share
from rstar_fast.evolve.budget_tables import read_measured
from rstar_fast.evolve.manifest import MANIFEST, read_manifest
from rstar_fast.evolve.metrics import Method, PairOrder
from rstar_fast.store.fields import Kind, check_fields


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """Figures of one round, as far as it is finished.

    Attributes:
        number: Number of the round. 0 is the bootstrap policy before any round.
        accuracy: Solved held-out problems by method. Methods that were not measured are missing.
        tokens: Mean number of generated tokens per held-out problem, by method.
        policy_by_group: Held-out problems that the policy alone solves, by what their ids begin
            with.
        pairs: Held-out pairs in the right order, by measurement.
        solved: Solved training problems. None for round 0.
        solved_by_group: Solved training problems by what their ids begin with.
        counts: Number of rows that the models learnt from: "sft_rows" (solutions) and "pairs".
        search_against_majority: Comparison of `Method.SEARCH` and `Method.MAJORITY` as a short
            text. Empty before the results are there.
        comparison: Figures of that comparison. None where an older version wrote only the text.
        measured: What each method solves at the budgets of `[evaluate]`. None without budgets.
    """

    number: int
    accuracy: dict[Method, Share] = field(default_factory=dict)
    tokens: dict[Method, float] = field(default_factory=dict)
    policy_by_group: dict[str, Share] = field(default_factory=dict)
    pairs: dict[PairOrder, Share] = field(default_factory=dict)
    solved: Share | None = None
    solved_by_group: dict[str, Share] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    search_against_majority: str = ""
    comparison: Paired | None = None
    measured: Measured | None = None


def summarize(run: Path) -> list[RoundSummary]:
    """Return the summaries of the rounds that have training data, in order, after that of round 0.

    Raises:
        StoreError: A manifest is damaged.
    """
    summaries = []
    first = read_manifest(run / "round-0" / "greedy")
    if first:
        with _at(run / "round-0" / "greedy"):
            metrics = first["metrics"]
            accuracy = {Method.POLICY: _share(metrics["solved"], metrics["trees"])}
            by_group = _shares(metrics.get("solved_by_group", {}))
            summaries.append(RoundSummary(0, accuracy, policy_by_group=by_group))
    number = 1
    while data := read_manifest(run / f"round-{number}" / "data"):
        results = read_manifest(run / f"round-{number}" / "results")
        with _at(run / f"round-{number}"):
            found = results["metrics"] if results else {}
            measured = read_measured(run / f"round-{number}" / "results") if results else None
            summaries.append(replace(_summary(number, data["metrics"], found), measured=measured))
        number += 1
    return summaries


def groups(summaries: Sequence[RoundSummary]) -> list[str]:
    """Return the groups of held-out problems, sorted. Empty if there is only one."""
    found = sorted({group for one in summaries for group in one.policy_by_group})
    return found if len(found) > 1 else []


def _summary(number: int, data: Mapping[str, Any], results: Mapping[str, Any]) -> RoundSummary:
    accuracy = results.get("accuracy", {})
    found = {method: accuracy[method] for method in Method if method in accuracy}
    pairs = results.get("pairs", {})
    figures = results.get("search_against_majority_figures")
    return RoundSummary(
        number,
        accuracy={
            method: _share(solved, problems) for method, (solved, problems, _) in found.items()
        },
        tokens={method: _number(tokens) for method, (_, _, tokens) in found.items()},
        policy_by_group=_shares(results.get("policy_by_group", {})),
        pairs={order: _share(*pairs[order]) for order in PairOrder if pairs.get(order)},
        solved=_share(data["solved"], data["problems"]),
        solved_by_group=_shares(data["solved_by_group"]),
        counts={name: _count(data[name]) for name in ("sft_rows", "pairs")},
        search_against_majority=str(results.get("search_against_majority", "")),
        comparison=_paired(figures) if figures else None,
    )


def _shares(by_group: Mapping[str, Sequence[int]]) -> dict[str, Share]:
    return {name: _share(solved, count) for name, (solved, count) in by_group.items()}


def _share(successes: Any, trials: Any) -> Share:
    return Share(_number(successes), _count(trials))


def _paired(figures: Mapping[str, Any]) -> Paired:
    low, high = map(_number, figures["interval"])
    others: dict[str, Any] = {
        name: _number(value) for name, value in figures.items() if name != "interval"
    }
    return Paired(**others, interval=(low, high))


def _number(value: Any) -> float:
    """Return a number of a manifest, which may hold anything."""
    check_fields({"a figure": value}, {"a figure": Kind.of(float)})
    number: float = value
    return number


def _count(value: Any) -> int:
    check_fields({"a count": value}, {"a count": Kind.of(int)})
    count: int = value
    return count


@contextmanager
def _at(folder: Path) -> Iterator[None]:
    """Say in errors which folder's manifests are damaged."""
    try:
        yield
    except (AttributeError, ConfigError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder}: a damaged {MANIFEST}: {described(error)}") from error
