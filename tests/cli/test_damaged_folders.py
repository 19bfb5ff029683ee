"""Damaged and hostile run folders: the command line names what is wrong, or shows clean text."""

import json
from pathlib import Path
from random import Random

import pytest
from damage import fuzz, make_evolution, make_run, shows_or_refuses

from rstar_fast.evolve.report import write_report


@pytest.mark.parametrize("first", range(0, 150, 10))
def test_any_damage(first: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for seed in range(first, first + 10):
        fuzz(tmp_path, Random(seed))


@pytest.mark.parametrize(
    "group", ["$x^$", "_hidden", "\ud800", "\x1b[31m", "a\nb", "<b>", "$\\frac{$", "x" * 5000]
)
def test_groups_of_any_name_are_reported(group: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    make_evolution(tmp_path / "run")
    path = tmp_path / "run" / "round-1/data/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["metrics"]["solved_by_group"][group] = [1, 2]
    path.write_text(json.dumps(manifest))
    assert write_report(tmp_path / "run")[-1].exists()


def test_a_report_is_not_written_through_a_link(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    make_evolution(tmp_path / "run")
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("report.html", "report.html.tmp", "accuracy.png"):
        (tmp_path / "run" / name).symlink_to(precious)
    write_report(tmp_path / "run")
    assert precious.read_text() == "mine"


def test_a_long_chain_of_steps_is_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    path = tmp_path / "run/trees.jsonl"
    record = json.loads(path.read_text().split("\n")[0])
    del record["checksum"]
    node = record["nodes"][1]
    record["nodes"] = [record["nodes"][0]] + [
        {**node, "id": i, "parent": i - 1, "depth": i} for i in range(1, 3000)
    ]
    path.write_text(json.dumps(record) + "\n")
    for words in ([], ["--trajectory", "2999"], ["--json"], ["--depth", "3"]):
        assert not shows_or_refuses(["show", str(tmp_path / "run"), "p", *words], "")
