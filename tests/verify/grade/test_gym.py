"""Problems of `reasoning_gym`.

They are made from their ids and graded by their own scorers, in processes that can be killed and do
no harm.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from rstar_fast.cli import main
from rstar_fast.embedded import base_path
from rstar_fast.embedded.problems import GradedProblem, graded_problems
from rstar_fast.errors import ProblemError
from rstar_fast.evolve import process
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.problems import Problem, read_problems
from rstar_fast.store import RunFolder
from rstar_fast.store.config_file import write_config
from rstar_fast.verify import Grade, Status
from rstar_fast.verify.grade import gym
from rstar_fast.verify.grade.by_source import SourceVerifier
from rstar_fast.verify.grade.gym import ANY_THAT_SCORES, GymVerifier
from rstar_fast.verify.grade.non_numbers import holds_non_number

needs_the_package = pytest.mark.skipif(
    find_spec("reasoning_gym") is None, reason="reasoning-gym is not installed"
)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("packages")
    (folder / "reasoning_gym.py").write_text(
        "from gym_stand_in import create_dataset as create_dataset\n"
    )
    monkeypatch.syspath_prepend(folder)


def plain(count: int, seed: int = 0) -> list[GradedProblem]:
    return graded_problems("held_out", count, seed, levels=(0,))


# Everywhere, with a stand-in for the package.


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "words",
        "words:0",
        "words:x",
        "words:3:",
        "words:3:0:1",
        "words:3:5000",
        "words:2000000",
        "a-b:3",
    ],
)
def test_a_malformed_source(rest: str) -> None:
    with pytest.raises(ProblemError, match=r"expected reasoning_gym:DATASET:SIZE"):
        read_problems(f"reasoning_gym:{rest}")


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym, "find_spec", lambda name: None)
    with pytest.raises(
        ProblemError,
        match=r'words:3: needs the package `reasoning-gym`: pip install "rstar-fast\[gym\]"',
    ):
        read_problems("reasoning_gym:words:3")
    with GymVerifier() as verifier, pytest.raises(ProblemError, match="needs the package"):
        verifier.submit(Problem("reasoning_gym:words:3:0:1", "?"), "1")


def test_problems_are_entries_with_ids(stand_in: None) -> None:
    problems = read_problems("reasoning_gym:words:5:2")
    assert [problem.id for problem in problems] == [
        f"reasoning_gym:words:5:2:{i}" for i in range(5)
    ]
    assert [problem.question for problem in problems] == [
        problem.question for problem in plain(5, seed=2)
    ]
    assert {problem.answers for problem in problems} == {(ANY_THAT_SCORES,)}
    assert read_problems("reasoning_gym:words:5:2", limit=2) == problems[:2]
    with pytest.raises(ProblemError, match="Dataset 'none' not registered"):
        read_problems("reasoning_gym:none:5")


def test_only_the_highest_score_is_right(stand_in: None) -> None:
    problems = read_problems("reasoning_gym:words:3")
    known = [problem.answer for problem in plain(3)]
    with SourceVerifier() as verifier:
        for problem, answer in zip(problems, known, strict=True):
            assert verifier.submit(problem, f" {answer}\n").result() == Grade(True)
            assert verifier.submit(replace(problem, copy=7), answer).result() == Grade(True)
            assert verifier.submit(problem, f"{answer} apples").result() == Grade(False)
        another = Problem(problems[0].id, problems[1].question)
        assert verifier.submit(another, known[0]).result() == Grade(False, Status.ERROR)
        assert verifier.submit(Problem("mine", "?", ("1/2",)), "0.5").result().correct
        with pytest.raises(ProblemError, match="expected an id of the form"):
            verifier.submit(Problem("reasoning_gym:words", "?"), "1")


def test_bad_entries_are_told_and_left_out(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym, "_ENTRY_LIMIT_S", 1.0)
    with pytest.warns(UserWarning, match="no entry") as told:
        (problem,) = read_problems("reasoning_gym:bad:6")
    assert problem == Problem("reasoning_gym:bad:6:0:5", "What is true?", ("1 == 1",))
    reasons = [str(one.message).removeprefix("reasoning_gym:bad:6:0:") for one in told]
    assert reasons[:3] == [
        "0: no entry: LookupError: there is nothing here",
        "1: no entry: its process ended with status crash",
        "2: no entry: its process ended with status timeout",
    ]
    assert (
        "made twice, it has two questions" in reasons[3]
        and "expected a question, got ' '" in reasons[4]
    )
    with pytest.raises(ProblemError, match="bad:6:0:0: no entry: LookupError"):
        read_problems("reasoning_gym:bad:6", limit=1)


def test_an_answer_that_a_scorer_runs_does_no_harm(stand_in: None, tmp_path: Path) -> None:
    problem = Problem("reasoning_gym:bad:6:0:5", "What is true?", ("1 == 1",))
    made = tmp_path / "made"
    hostile = {
        f"open({str(made)!r}, 'w').write('1')": Status.ERROR,
        f"__import__('os').system('echo 1 > {made}') * 0": Status.ERROR,
        "__import__('time').sleep(60)": Status.TIMEOUT,
        "__import__('os')._exit(0)": Status.CRASH,
        "no Python": Status.ERROR,
        "float('nan')": Status.OK,
        "1e9": Status.OK,
    }
    with GymVerifier(limit_s=2) as verifier:
        assert verifier.submit(problem, "1 == 1").result() == Grade(True)
        for answer, status in hostile.items():
            assert verifier.submit(problem, answer).result() == Grade(False, status), answer
        assert verifier.submit(problem, "2 == 2").result() == Grade(True)
    assert not made.exists() or not made.read_bytes()


PATCH = "__import__('builtins').__dict__.update(eval=lambda _: 1) or 0"


def test_an_answer_reaches_no_other_answer(stand_in: None) -> None:
    problem = Problem("reasoning_gym:bad:6:0:5", "What is true?", ("1 == 1",))
    with GymVerifier() as verifier:
        assert verifier.submit(problem, PATCH).result() == Grade(False)
        assert verifier.submit(problem, "banana").result() == Grade(False, Status.ERROR)


def test_a_late_answer_costs_no_worker(stand_in: None) -> None:
    problem = Problem("reasoning_gym:bad:6:0:5", "What is true?", ("1 == 1",))
    with GymVerifier(limit_s=2) as verifier:
        assert verifier.submit(problem, "1 == 1").result() == Grade(True)
        pids = verifier.worker_pids()
        late = [
            "__import__('time').sleep(60)",
            "[__import__('signal').signal(15, 1), __import__('time').sleep(60)]",
        ]
        for answer in late:
            grade = verifier.submit(problem, answer).result()
            assert grade == Grade(False, Status.TIMEOUT)
        assert verifier.submit(problem, "2 == 2").result() == Grade(True)
        assert verifier.worker_pids() == pids
        children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children")
        # The zygote, and the init of a process namespace if there is one.
        assert not children.exists() or len(children.read_text().split()) <= 2


def test_scorers_see_no_secrets(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    problem = Problem("reasoning_gym:bad:6:0:5", "What is true?", ("1 == 1",))
    with GymVerifier() as verifier:
        for name, there in (("SOME_TOKEN", False), ("PATH", True)):
            answer = f"{name!r} in __import__('os').environ"
            assert verifier.submit(problem, answer).result() == Grade(there)


NOT_FINITE = [
    "[nan]",
    "[-nan]",
    "[float('nan')]",
    "[float('NaN')]",
    "[1e999 - 1e999]",
    "[1e200 * 1e200 * 0.0]",
    "(4 * 1e999 * 0,)",
]


def test_what_is_no_number_is_not_right(stand_in: None) -> None:
    (problem,) = read_problems("reasoning_gym:near:1")
    with GymVerifier() as verifier:
        assert verifier.submit(problem, "[4.05]").result() == Grade(True)
        for answer in NOT_FINITE:
            assert not verifier.submit(problem, answer).result().correct, answer


def test_a_scorer_that_takes_anything_decides_nothing(stand_in: None) -> None:
    (problem,) = read_problems("reasoning_gym:any:1")
    with GymVerifier() as verifier:
        assert verifier.submit(problem, "[4.0]").result() == Grade(False)


def test_words_that_are_not_numbers() -> None:
    for answer in (
        "nan + 36.0i",
        "3 - nani",
        "inf",
        "-Infinity",
        "oo",
        "x + zoo",
        "∞",
        "1e999",
        "[1, [{2: 1e999}]]",
    ):
        assert holds_non_number(answer, "48.0", "What is it?"), answer
    for answer in (
        "banana",
        "5 nanograms",
        "info: 4",
        "zoology",
        "12.5e3",
        "4 + 3i",
        "[1, 'x']",
        "4)",
    ):
        assert not holds_non_number(answer, "48.0", "What is it?"), answer
    assert not holds_non_number("nan", "a word", "Which word?")
    assert not holds_non_number("oo", "[0, oo)", "Which interval?")
    assert not holds_non_number("infinity", "1", "Is it 1 or infinity?")


def test_a_search_is_judged_by_the_scorer(stand_in: None, tmp_path: Path) -> None:
    source = ["--problems", "reasoning_gym:words:6", "--policy", str(base_path()), "--workers", "1"]
    words = ["--preset", "greedy", "--unconfined", "--out", str(tmp_path / "run")]
    assert main(["search", *source, *words]) == 0
    with RunFolder.read(tmp_path / "run") as folder:
        trees = list(folder.trees())
    known = {f"reasoning_gym:words:6:0:{i}": problem.answer for i, problem in enumerate(plain(6))}
    finals = [
        (tree.problem.id, node) for tree in trees for node in tree.nodes if node.end == "answer"
    ]
    assert len(trees) == 6 and any(tree.solved for tree in trees)
    assert all(node.correct == (node.answer == known[problem_id]) for problem_id, node in finals)


def test_rounds_measure_on_them(stand_in: None, tmp_path: Path) -> None:
    opened = {
        "base": str(base_path()),
        "problems": "reasoning_gym:words:8:0",
        "held_out": ["reasoning_gym:words:12:1", "reasoning_gym:words:2:0"],
        "evaluate": {"greedy": 12},
        "rounds": [{}],
    }
    write_config(tmp_path, {"options": opened, "files": {}})
    process.do(tmp_path, "round-0/greedy", "cpu", 1)
    manifest = read_manifest(tmp_path / "round-0/greedy")
    assert manifest
    metrics = manifest["metrics"]
    assert (metrics["problems"], metrics["trees"], metrics["left_out"]) == (12, 12, 2)
    assert metrics["solved"] > 0
    assert metrics["solved_by_group"] == {"reasoning_gym:words:12:1": [metrics["solved"], 12]}
    assert json.loads((tmp_path / "config.json").read_text())["options"] == opened


# With the package.


@pytest.fixture(scope="module")
def scorers() -> Iterator[SourceVerifier]:
    """One worker for all tests, because loading the package takes seconds."""
    with SourceVerifier(limit_s=60) as verifier:
        yield verifier


@needs_the_package
@pytest.mark.parametrize(
    "dataset", ["chain_sum", "isomorphic_strings", "word_ladder", "simple_equations"]
)
def test_own_answers_are_right(scorers: SourceVerifier, dataset: str) -> None:
    problems = read_problems(f"reasoning_gym:{dataset}:12:0")
    others = read_problems(f"reasoning_gym:{dataset}:12:1")
    assert {problem.question for problem in problems}.isdisjoint(
        problem.question for problem in others
    )
    # The scorer's process makes each entry again, and raises if the question is another one.
    right = [scorers.submit(problem, problem.answers[0]) for problem in problems]
    wrong = [scorers.submit(problem, f"{problem.answers[0]} or not") for problem in problems]
    assert all(future.result() == Grade(True) for future in right)
    assert not any(future.result().correct for future in wrong)


@needs_the_package
def test_a_set_without_answers_has_a_scorer(scorers: SourceVerifier) -> None:
    (problem,) = read_problems("reasoning_gym:graph_color:1")
    assert problem.answers == (ANY_THAT_SCORES,)
    assert problem in read_problems("reasoning_gym:graph_color:1")
    assert scorers.submit(problem, "{}").result() == Grade(False)


@needs_the_package
def test_real_scorers_take_no_nan(scorers: SourceVerifier) -> None:
    (complex_number,) = read_problems("reasoning_gym:complex_arithmetic:1")
    (numbers,) = read_problems("reasoning_gym:number_sorting:1")
    gold = numbers.answers[0]
    for problem, right, wrong in (
        (complex_number, complex_number.answers[0], "nan + nani"),
        (numbers, gold, gold.replace(gold.split("'")[1], "nan")),
    ):
        assert scorers.submit(problem, right).result() == Grade(True)
        assert scorers.submit(problem, wrong).result() == Grade(False)
