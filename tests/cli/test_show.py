"""The command `rstar-fast show`: what it prints of a run, a tree and a solution."""

import json

import pytest
from scripted_cli import search, write_problems

from rstar_fast.cli import main

pytestmark = pytest.mark.usefixtures("scripted")


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(2, {1: "fail"})
    main(search())
    capsys.readouterr()
    assert main(["show", "run"]) == 0
    out = capsys.readouterr().out
    assert "p-0" in out and "p-1: PolicyError" in out and "candidates 2" in out
    assert main(["show", "run", "p-0"]) == 0
    assert "answer 7, correct" in capsys.readouterr().out
    for which in ([], ["best"], ["correct"], ["3"]):
        assert main(["show", "run", "p-0", "--trajectory", *which]) == 0
        assert "<code>\nprint(7)" in capsys.readouterr().out


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(2, {1: "fail"})
    main(search())
    capsys.readouterr()
    assert main(["show", "run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["totals"]["solved"] == told["totals"]["failures"] == 1
    assert told["failures"][0]["id"] == "p-1" and told["failures"][0]["error_type"] == "PolicyError"
    assert told["config"]["policy"] == "scripted" and len(told["sessions"]) == 1
    assert main(["show", "run", "p-0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"][0]["parent"] == -1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "p-"], "did you mean 'p-0'? It has 1: p-0"),
        (["run", "p-1"], "problem 'p-1' has no tree: PolicyError"),
        (["run", "p-0", "--trajectory", "99"], "expected best, correct or a node in 1.."),
        (["run", "p-0", "--depth", "0"], "--depth: expected at least 1, got 0"),
        (["run", "--trajectory"], "say which"),
        (["elsewhere"], "elsewhere: expected a run folder"),
    ],
)
def test_show_errors(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(2, {1: "fail"})
    main(search())
    capsys.readouterr()
    assert main(["show", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and not captured.out
