"""`rstar-fast bench` measures an engine, writes a report, and shows two of them."""

import json
from pathlib import Path

import pytest

from rstar_fast.bench.reports import SCHEMA
from rstar_fast.cli import main

BRIEF = ["--warm-up", "0.2", "--seconds", "0.4", "--windows", "2", "--active", "2"]
ENGINE = """
def make():
    def write(requests):
        texts = "<code>\\nprint(6 * 7)\\n<end_of_step>", "\\n<answer>\\\\boxed{42}<end_of_answer>"
        return [[texts[bool(one.path)]] for one in requests]
    return write

def broken():
    raise OSError("no engine today")

def number():
    return 3
"""


def test_simulated_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, trace = tmp_path / "report.json", tmp_path / "trace"
    words = [
        "bench",
        "--engine",
        "simulate",
        *BRIEF,
        "--machine",
        "latency_s=0.001",
        "slow_share=0",
    ]
    assert main([*words, "--output", str(report), "--profile", str(trace)]) == 0
    told = json.loads(report.read_text())
    assert told["schema"] == SCHEMA and told["config"]["max_active"] == 2
    assert told["machine"]["latency_s"] == 0.001
    assert told["rates"]["tokens_per_s"]["max"] <= min(told["bounds"]["policy"], 20_000)
    assert "Bound by" in capsys.readouterr().out
    assert trace.exists()
    assert main(["bench", "compare", str(report), str(report)]) == 0
    assert "1.000" in capsys.readouterr().out


def test_an_engine_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "engine_of_mine.py").write_text(ENGINE)
    (tmp_path / "p.jsonl").write_text('{"question": "6 times 7?", "answer": 42}\n')
    monkeypatch.chdir(tmp_path)
    words = ["bench", "--problems", "p.jsonl", *BRIEF, "--output", "r.json", "--engine"]
    assert main([*words, "engine_of_mine:make"]) == 0
    told = json.loads(Path("r.json").read_text())
    assert told["failures"] == 0 and set(told["latency_s"]) == {"expansion", "problem"}
    assert told["cached"] == {"policy": None, "ppm": None}
    for engine, why in (("broken", "no engine today"), ("number", "got int"), ("gone", "gone")):
        assert main([*words, f"engine_of_mine:{engine}"]) == 2
        assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["compare", "a.json"], "expected compare A.json B.json"),
        (["--engine", "simulate", "--seconds", "0"], "seconds: expected a positive number"),
        (["--engine", "simulate", "--machine", "speed=3"], "--machine: expected numbers for"),
        (["compare", "no.json", "no.json"], "no.json"),
    ],
)
def test_bad_input(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert why in capsys.readouterr().err
