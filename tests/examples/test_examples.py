"""The examples run as they stand, each in a process of its own, and print what they should."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rstar_fast.evolve import EvolveConfig, read_options
from rstar_fast.problems import Problem

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

WITHOUT_TORCH = """
import runpy, sys
for name in ("torch", "transformers", "safetensors", "trl"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
runpy.run_path(sys.argv[2], run_name="__main__")
"""
"""A program that runs an example in a process which cannot import what a base install lacks."""

SHORTEST = {10: 3, 97: 7, 246: 6, 1000: 9, 4095: 13}
"""Fewest moves of the game in batched_forest.py, found by breadth-first search."""


def output_of(*command: str, timeout_s: float = 300) -> str:
    ran = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=timeout_s, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def printed_by(name: str) -> list[str]:
    """The lines that an example prints where torch is not installed."""
    output = output_of("-c", WITHOUT_TORCH, str(EXAMPLES), str(EXAMPLES / name))
    return output.splitlines()


def test_own_engine() -> None:
    # The order is that in which the problems end.
    assert sorted(printed_by("own_engine.py")) == [
        "eggs solved, best answer 42, 4 steps",
        "plums solved, best answer 5, 4 steps",
        "strange failed: PolicyError - "
        "the policy failed twice: LookupError: nobody wrote a script for it",
    ]


def test_ask_tell_trainer() -> None:
    *asked, p3, p5, last = printed_by("ask_tell_trainer.py")
    assert asked[0] == "asked for 2 expansions, 0 programs, 0 grades, 0 scores"
    kinds = [re.findall(r"\d+", line) for line in asked]
    assert all(any(line[kind] != "0" for line in kinds) for kind in range(4)), "a kind is missing"
    assert p3.startswith("p3: solved True") and "21 (Q +1)" in p3 and "(Q -1)" in p3
    assert p5.startswith("p5: solved True") and "45 (Q +1)" in p5
    assert re.fullmatch(r"to train on: 2 solutions, [1-9]\d* preference pairs", last)


def test_ask_tell_trainer_prints_the_same_again() -> None:
    assert printed_by("ask_tell_trainer.py") == printed_by("ask_tell_trainer.py")


def test_custom_verifier() -> None:
    grades = ["wrong", "right", "right", "wrong"]
    answers = ["25 * 7 + 3", "(25 - 3) * 7", "7 * (25 - 3)", "22 * 7"]
    assert printed_by("custom_verifier.py") == [
        f"{name}: {answer} is {grade}"
        for name in ("protocol", "worker")
        for answer, grade in zip(answers, grades, strict=True)
    ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Use 15 and 4.", "'15' + '4'"),
        ("Use 154.", "-" * 100_000 + "154"),
        ("Use 154.", "+".join(["154"] * 100_000)),
        ("Use 154.", "(" * 100_000),
        ("Use 154.", "154\x00"),
        ("Use 154.", "154 if 1 else 0"),
    ],
)
def test_custom_verifier_takes_any_text(
    monkeypatch: pytest.MonkeyPatch, question: str, answer: str
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    verifier = import_module("custom_verifier").CountdownVerifier()
    grade = verifier.submit(Problem("p", question, ("154",)), answer).result()
    assert not grade.correct


def test_batched_forest_finds_the_shortest_solutions() -> None:
    lines = printed_by("batched_forest.py")
    found = [re.fullmatch(r"(\d+): (\d+) moves \((.*)\), \d+ nodes", line) for line in lines]
    assert all(found), lines
    assert {int(match[1]): int(match[2]) for match in found if match} == SHORTEST
    for match in found:
        assert match is not None
        number = int(match[1])
        for move in match[3].split():
            quotient, rest = divmod(number, int(move[1]))
            number, rest = (number - 1, 0) if move == "-1" else (quotient, rest)
            assert rest == 0, match[0]
        assert number == 1, match[0]


def test_the_small_evolution_is_understood() -> None:
    config = EvolveConfig.from_dict(read_options(EXAMPLES / "evolve_small.toml"))
    assert Path(config.base).is_dir()
    assert [search.use_scores for one in config.rounds for search in one.searches] == [False, True]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_small_evolution_ends_with_a_report(tmp_path: Path) -> None:
    for package in ("trl", "matplotlib"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    run, config = tmp_path / "small", str(EXAMPLES / "evolve_small.toml")
    command = ("-m", "rstar_fast", "evolve", "--config", config, "--out", str(run))
    output = output_of(*command, "--processes", "2", "--unconfined", timeout_s=890)
    assert f"look at it: {run / 'report.html'}" in output
    for stage in ("round-1/data", "round-2/policy", "round-2/ppm", "round-2/results"):
        assert (run / stage / "manifest.json").is_file(), stage
