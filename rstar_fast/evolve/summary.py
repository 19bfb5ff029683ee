"""What the finished stages of a self-evolution say, round by round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar_fast.evaluate import Share
from rstar_fast.evolve.results import SEARCH_ANSWER
from rstar_fast.evolve.stage import read_manifest

COLUMNS: dict[str, str] = {
    "policy": "policy",
    "search": f"search: {SEARCH_ANSWER}",
    "majority": "ppm: majority",
    "best by PPM": "ppm: best",
    "best by ORM": "orm: best",
    "best by PQM": "pqm: best",
    "first policy": f"first policy: {SEARCH_ANSWER}",
}
"""Names of what is compared, and of the ways in a round's results."""


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """One round, as far as it is finished.

    Attributes:
        number: 0 is the policy before any round.
        accuracy: on held-out problems, by the names of `COLUMNS`.
        tokens: generated per problem, by the same names.
        policy_by_group: the policy's accuracy by what the problems' ids begin with.
        pairs: of held-out pairs the share in the right order, by whose pairs.
        solved: training problems; None for round 0.
        solved_by_group: the same by what the problems' ids begin with.
        counts: of solutions and pairs that were learnt from.
        search_against_majority: problem by problem.
    """

    number: int
    accuracy: dict[str, Share] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    policy_by_group: dict[str, Share] = field(default_factory=dict)
    pairs: dict[str, Share] = field(default_factory=dict)
    solved: Share | None = None
    solved_by_group: dict[str, Share] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    search_against_majority: str = ""


def summarize(run: Path) -> list[RoundSummary]:
    """The rounds of a run that have results, in order.

    Raises:
        StoreError: a manifest is damaged.
    """
    summaries = []
    first = read_manifest(run / "round-0" / "greedy")
    if first:
        metrics = first["metrics"]
        accuracy = {"policy": Share(metrics["solved"], metrics["trees"])}
        summaries.append(
            RoundSummary(0, accuracy, policy_by_group=_shares(metrics.get("solved_by_group", {})))
        )
    number = 1
    while data := read_manifest(run / f"round-{number}" / "data"):
        results = read_manifest(run / f"round-{number}" / "results")
        summaries.append(_summary(number, data["metrics"], results["metrics"] if results else {}))
        number += 1
    return summaries


def groups(summaries: Sequence[RoundSummary]) -> list[str]:
    """The groups of held-out problems that the policy alone was measured on, in order; none where they are all of one."""
    found = sorted({group for one in summaries for group in one.policy_by_group})
    return found if len(found) > 1 else []


def _summary(number: int, data: Mapping[str, Any], results: Mapping[str, Any]) -> RoundSummary:
    found = {
        column: results["accuracy"][way]
        for column, way in COLUMNS.items()
        if way in results.get("accuracy", {})
    }
    return RoundSummary(
        number,
        accuracy={
            column: Share(solved, problems) for column, (solved, problems, _) in found.items()
        },
        tokens={column: tokens for column, (_, _, tokens) in found.items()},
        policy_by_group=_shares(results.get("policy_by_group", {})),
        pairs={whose: Share(*of) for whose, of in results.get("pairs", {}).items() if of},
        solved=Share(data["solved"], data["problems"]),
        solved_by_group=_shares(data["solved_by_group"]),
        counts={name: data[name] for name in ("sft_rows", "pairs")},
        search_against_majority=results.get("search_against_majority", ""),
    )


def _shares(of_groups: Mapping[str, Sequence[int]]) -> dict[str, Share]:
    return {name: Share(solved, count) for name, (solved, count) in of_groups.items()}
