"""Equations: the readings of terms, the splits, the solutions, and solutions with mistakes."""

import random
from collections import Counter

import pytest

from recipes.embedded.mistakes import guessed_readings, likeliest_reading, spoilt_readings
from rstar_fast.embedded.equations import (
    LEVELS,
    MAX_CONSTANT,
    Equation,
    equation,
    write_steps,
)
from rstar_fast.embedded.terms import NUM_TIERS, SHAPES, Term, joined, total
from rstar_fast.problems import Problem, read_problems
from rstar_fast.steps import final_answer
from rstar_fast.verify import MathVerifier
from rstar_fast.verify.execute.arithmetic import compute
from rstar_fast.verify.execute.source import source_of

EQUATIONS = [equation(i, 3, "train", level) for i in range(20) for level in LEVELS]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.text)
def test_only_the_first_reading_of_a_shape_is_right(shape: object) -> None:
    term = Term(shape, (3, 5, 7)[: len(shape.letters)])  # type: ignore[attr-defined, arg-type]
    text = joined([term.text])
    for number in range(len(term.shape.readings)):
        read = term.reading(number)
        right = all(
            total([read.coefficient]) * x + total([read.constant]) == eval(text, {"x": x})
            for x in (0, 2, 11)
        )
        assert right == (number == 0), (text, read)


def test_every_tier_has_shapes_of_its_own() -> None:
    assert {shape.tier for shape in SHAPES} == set(range(NUM_TIERS)) == set(LEVELS)
    assert len({shape.text for shape in SHAPES}) == len(SHAPES)


def test_an_equation_depends_on_its_place_alone_and_splits_share_no_instance() -> None:
    assert equation(7, 1, "held_out", 4) == equation(7, 1, "held_out", 4)
    held_out = {equation(i, 3, "held_out", level).sides for i in range(50) for level in LEVELS}
    train = {equation(i, 3, "train", level).sides for i in range(200) for level in LEVELS}
    assert held_out.isdisjoint(train) and len(train) > 1000
    for made in EQUATIONS:
        tiers = [term.shape.tier for term in (*made.left, *made.right)]
        assert max(tiers) == int(made.id.split(":")[2])
        assert all(abs(number) <= MAX_CONSTANT for term in made.right for number in term.numbers)


def observed(steps: tuple[str, ...]) -> list[str]:
    """Return what the steps' programs print, after a look whether the steps say the same."""
    shown = []
    for step in steps[:-1]:
        program, output = step.split("<output>")
        shown.append(output.removesuffix("<end_of_output>"))
        assert compute(source_of((program,))) == shown[-1]
    return shown


@pytest.mark.parametrize("made", EQUATIONS[:60], ids=lambda made: made.id)
def test_a_solution_runs_as_it_is_written_and_is_right(made: Equation) -> None:
    *_, value, check = observed(made.steps)
    left, right = check.split()
    assert left == right and float(value) == made.solution
    assert final_answer(made.steps[-1]) == made.answer
    with MathVerifier() as verifier:
        assert verifier.submit(made.problem, final_answer(made.steps[-1])).result().correct


def test_a_solution_with_a_mistake_shows_it_when_the_value_is_put_in() -> None:
    rng, seen = random.Random(2), Counter[bool]()
    for made in EQUATIONS:
        for _ in range(4):
            flips = rng.choice(["", "", "c", "x"])
            steps = write_steps(made, spoilt_readings(rng, made), flips)
            if steps is None:
                continue
            left, right = observed(steps)[-1].split()
            wrong = final_answer(steps[-1]) != made.answer
            assert (left != right) == wrong
            seen[wrong] += 1
    assert min(seen[True], seen[False]) > 20


def test_guesses_are_right_for_plain_terms_and_undecided_for_others() -> None:
    rng, right = random.Random(0), [0] * NUM_TIERS
    for shape in SHAPES:
        term = Term(shape, (4, 5, 6)[: len(shape.letters)])
        assert likeliest_reading(term) == likeliest_reading(term)
        assert shape.tier or likeliest_reading(term) == 0
    for tier in range(1, NUM_TIERS):
        terms = [
            Term(shape, (a, 3, 4)[: len(shape.letters)])
            for shape in SHAPES
            if shape.tier == tier
            for a in range(2, 10)
        ]
        right[tier] = sum(likeliest_reading(term) == 0 for term in terms) * 100 // len(terms)
    assert right[1] > 40 > right[5] > 5
    hard = equation(3, 0, "train", 5)
    assert len({guessed_readings(rng, hard) for _ in range(30)}) > 5


def test_equations_are_a_source() -> None:
    problems = read_problems("equations:held_out:2")
    assert len(problems) == 12 and all(isinstance(one, Problem) for one in problems)
    assert problems[0].question == equation(0, 0, "held_out", 0).question
