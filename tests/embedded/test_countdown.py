"""Countdown puzzles: the solver, the splits, the solutions, and their source."""

import random
from itertools import combinations

import pytest

from rstar_fast.embedded.countdown import FORMAT, LEVELS, WORDINGS, Countdown, countdown
from rstar_fast.embedded.reach import after, good_moves, moves, reachable
from rstar_fast.problems import read_problems
from rstar_fast.steps import final_answer
from rstar_fast.verify import ArithmeticRunner
from rstar_fast.verify.execute.arithmetic import compute
from rstar_fast.verify.execute.source import source_of
from rstar_fast.verify.grade.by_source import SourceVerifier
from rstar_fast.verify.grade.expression import read_expression

PUZZLES = [countdown(i, 3, "train", level) for i in range(25) for level in LEVELS]


def values(numbers: tuple[int, ...]) -> set[int]:
    """Return all values of numbers, by cutting them in two in every way."""
    if len(numbers) == 1:
        return set(numbers)
    found = set()
    places = range(1, len(numbers))
    for count in range(len(numbers) - 1):
        for chosen in combinations(places, count):
            left = tuple(numbers[i] for i in (0, *chosen))
            right = tuple(numbers[i] for i in places if i not in chosen)
            for a in values(left):
                for b in values(right):
                    high, low = max(a, b), min(a, b)
                    found |= {a + b, a * b}
                    found |= {high - low} if high > low else set()
                    found |= {high // low} if high % low == 0 else set()
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_solver_is_exact(count: int) -> None:
    rng = random.Random(count)
    for _ in range(30 if count < 4 else 6):
        numbers = tuple(rng.randint(1, 12) for _ in range(count))
        expected = values(numbers)
        targets = range(1, 200) if count < 4 else rng.sample(range(1, 200), 40)
        assert [t for t in targets if reachable(numbers, t)] == [
            t for t in targets if t in expected
        ]


def test_good_moves_are_those_from_which_the_target_is_reached() -> None:
    found = {(m.sign, m.value) for m in good_moves((25, 4, 8), 71)}
    assert found == set()
    assert {(m.sign, m.value) for m in good_moves((25, 4, 8), 92)} == {("*", 100)}
    assert after((25, 4, 8), good_moves((25, 4, 8), 92)[0]) == (100, 8)
    assert {(m.left, m.right, m.sign) for m in moves((3, 3))} == {
        (0, 1, "+"),
        (0, 1, "*"),
        (0, 1, "/"),
    }


def test_a_puzzle_depends_on_its_place_alone_and_splits_share_no_instance() -> None:
    assert countdown(7, 1, "held_out", 4) == countdown(7, 1, "held_out", 4)
    held_out = [countdown(i, 3, "held_out", level) for i in range(100) for level in LEVELS]
    train = [countdown(i, 3, "train", level) for i in range(400) for level in LEVELS]
    instances = [{(*sorted(p.numbers), p.target) for p in split} for split in (train, held_out)]
    assert instances[0].isdisjoint(instances[1])
    assert {len(p.numbers) for p in train} == set(LEVELS)
    assert {p.wording for p in held_out} == set(WORDINGS)


@pytest.mark.parametrize("puzzle", PUZZLES[:40], ids=lambda p: p.id)
def test_a_solution_runs_as_it_is_written_and_is_right(puzzle: Countdown) -> None:
    *steps, answer = puzzle.steps
    for step in steps:
        program, output = step.split("<output>")
        assert compute(source_of((program,))) == output.removesuffix("<end_of_output>")
    assert len(steps) == len(puzzle.numbers) - 1
    assert final_answer(answer) == puzzle.answer
    read = read_expression(puzzle.answer)
    assert read and read.numbers == tuple(sorted(puzzle.numbers)) and read.value == puzzle.target


def test_a_source_of_puzzles_is_graded_by_their_expressions() -> None:
    problems = read_problems("countdown:held_out:2:3-4")
    assert [one.id for one in problems] == [
        f"countdown:held_out:{level}:0:{i}" for i in range(2) for level in (3, 4)
    ]
    with SourceVerifier() as verifier:
        for problem in problems:
            (right,) = problem.answers
            assert verifier.submit(problem, right).result().correct
            assert not verifier.submit(problem, f"{right} + 1").result().correct
            assert not verifier.submit(problem, str(eval(right))).result().correct
    mixed = read_problems("equations:train:1:0")
    with SourceVerifier() as verifier:
        assert verifier.submit(mixed[0], mixed[0].answers[0]).result().correct


def test_the_wordings_of_the_outside_test_are_read() -> None:
    games = pytest.importorskip("reasoning_gym.games.countdown")
    assert games.QUESTION_FORMAT_TEMPLATE.format(question="") == FORMAT
    entries = games.CountdownDataset(games.CountdownConfig(size=20, seed=0))
    asked = {
        one["question"]
        .replace(str(one["metadata"]["target"]), "{target}", 1)
        .replace(", ".join(map(str, one["metadata"]["numbers"])), "{numbers}", 1)
        for one in entries
    }
    assert asked == set(WORDINGS[2:])


def test_a_runner_computes_the_steps_at_once() -> None:
    class Refuses:
        def submit(self, steps: tuple[str, ...]) -> None:
            raise AssertionError(steps)

        def close(self) -> None:
            pass

    runner = ArithmeticRunner(Refuses())  # type: ignore[arg-type]
    for puzzle in PUZZLES:
        for step in puzzle.steps[:-1]:
            text = step.split("\n<output>")[0]
            assert runner.submit((text,)).result().text in step
