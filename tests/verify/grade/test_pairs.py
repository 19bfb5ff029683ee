"""Verdicts on pairs of an accepted answer and an answer.

`grading_pairs.jsonl` holds pairs from public reports of faults in graders, with their sources.
`grading_own.jsonl` holds more pairs of the same kinds.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from rstar_fast.verify.grade.judge import judge
from rstar_fast.verify.grade.spelling import settled_by_text

DATA = Path(__file__).parents[2] / "data"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def verdict(gold: str, answer: str) -> bool | None:
    settled = settled_by_text([gold], answer)
    if settled is None:
        return judge([gold], answer)[0]
    return None if settled.unsure else settled.correct


def wrong_verdicts(pairs: list[dict[str, Any]]) -> list[tuple[str, str, bool | None]]:
    """Return the pairs whose verdict is not what it should be, with the verdict."""
    found = [(row, verdict(row["gold"], row["answer"])) for row in pairs]
    return [
        (row["gold"], row["answer"], judged)
        for row, judged in found
        if (judged is True) != row["correct"]
    ]


PAIRS = sorted(rows("grading_pairs.jsonl"), key=lambda row: row["class"])
CLASSES = {name: list(group) for name, group in groupby(PAIRS, key=lambda row: row["class"])}


@pytest.mark.parametrize("name", CLASSES)
def test_reported_pairs(name: str) -> None:
    assert wrong_verdicts(CLASSES[name]) == []


def test_more_pairs() -> None:
    assert wrong_verdicts(rows("grading_own.jsonl")) == []
