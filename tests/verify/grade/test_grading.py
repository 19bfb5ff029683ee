"""Grading: answers that count as equal, hostile answers, and functions of the user's."""

from collections.abc import Iterator

import pytest

from rstar_fast.errors import ConfigError, ExecutorError, ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Layer, Status
from rstar_fast.verify.grade.verifiers import FunctionVerifier, MathVerifier


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(limit_s=20) as running:
        yield running


def problem(*answers: str) -> Problem:
    return Problem("p", "?", answers)


def test_a_grade_says_what_decided(verifier: MathVerifier) -> None:
    half = problem(r"\frac{1}{2}")
    assert verifier.submit(half, r"$\dfrac{1}{2}$").result() == Grade(True, layer=Layer.READ)
    assert verifier.submit(half, "0.5").result() == Grade(True, layer=Layer.COMPARE)
    assert verifier.submit(half, "0.6").result() == Grade(False, layer=Layer.COMPARE)
    assert verifier.submit(half, r"\sum_{k=1}^{1} \frac{k}{2}").result() == Grade(
        True, layer=Layer.LIBRARY
    )


@pytest.mark.parametrize("answer", ["about 5", "5...", "(5", "5 or so", "five", "5 %%", "5 if odd"])
def test_what_cannot_be_read_is_unsure(verifier: MathVerifier, answer: str) -> None:
    grade = verifier.submit(problem("5"), answer).result()
    assert (grade.correct, grade.unsure, grade.status) == (False, True, Status.OK)


def test_the_question_tells_the_unit(verifier: MathVerifier) -> None:
    def grade(question: str, gold: str, answer: str) -> Grade:
        return verifier.submit(Problem("p", question, gold), answer).result()

    assert grade("How many meters is that?", "5", "5 m").correct
    assert not grade("What is x?", "5", "5 m").correct
    assert grade("What percent is that?", "28", r"28\%").correct
    assert grade("What is it?", "28", r"28\%").unsure
    assert grade("How long is it, in centimeters?", "5", "5 cm").correct
    assert grade("How long is it, in centimeters?", "5", "5 miles").unsure


def test_any_accepted_answer_will_do(verifier: MathVerifier) -> None:
    either = problem("7", "?!", r"\frac{1}{2}")
    assert [verifier.submit(either, answer).result().correct for answer in ("7", "0.5", "8")] == [
        True,
        True,
        False,
    ]


def test_a_problem_without_answers_is_refused(verifier: MathVerifier) -> None:
    with pytest.raises(ProblemError, match="'p' has no accepted answer"):
        verifier.submit(problem(), "5")


def test_texts_and_integers_need_no_worker() -> None:
    with MathVerifier() as verifier:
        assert verifier.submit(problem(r"\dfrac{1}{2}"), r"$\frac{1}{2}$").result(0).correct
        empty = verifier.submit(problem("5"), "").result(0)
        assert not empty.correct and not empty.unsure
        large = problem("5", "-700000000000000000000")
        assert not verifier.submit(large, "-700000000000000000001").result(0).correct
        assert verifier.submit(problem("5"), "{" * 100_000).result(0).unsure
        assert verifier.worker_pids() == []


HOSTILE = [
    "10**(10**10)",
    "9^{9^{9^9}}",
    "9!!!!!!",
    r"\sum_{n=1}^{10^{10}} n^{n}",
    "{" * 4000,
    "(" * 4000,
    r"\frac{" * 600,
    "1" * 4000,
    "\u0661\u0662 \u2211 \U0001f642",
    "\0",
    "\ud800",
    r"\boxed{",
    "\\",
    "%",
    r"\frac{1}{0}",
    "__import__('os')._exit(0)",
]


@pytest.mark.slow
def test_hostile_answers_are_wrong_and_end() -> None:
    with MathVerifier(workers=2, limit_s=0.5) as verifier:
        futures = [verifier.submit(problem("5", r"\frac{1}{2}"), answer) for answer in HOSTILE]
        grades = [future.result(60) for future in futures]
        assert not any(grade.correct for grade in grades)
        assert {grade.status for grade in grades} <= {Status.OK, Status.ERROR, Status.TIMEOUT}


def test_same_grades_for_any_number_of_workers() -> None:
    pairs = [("1/2", "0.5"), ("5", "5 x"), ("[1,2)", "[1,2]"), ("5", "about 5")] * 5

    def grades(workers: int) -> list[Grade]:
        with MathVerifier(workers=workers, limit_s=60) as verifier:
            return [
                future.result()
                for future in [verifier.submit(problem(gold), answer) for gold, answer in pairs]
            ]

    assert grades(1) == grades(3)


def test_a_function_grades() -> None:
    double = Problem("d", "21")
    with FunctionVerifier("grading_functions:doubles") as verifier:
        grades = [verifier.submit(double, answer).result() for answer in ("42", "43", "no number")]
    assert grades == [Grade(True), Grade(False), Grade(False, Status.ERROR)]


@pytest.mark.parametrize(
    ("function", "status"), [("sleeps", Status.TIMEOUT), ("dies", Status.LOST)]
)
def test_a_function_that_does_not_answer(function: str, status: Status) -> None:
    with FunctionVerifier(f"grading_functions:{function}", limit_s=0.3) as verifier:
        assert verifier.submit(problem("1"), "1").result() == Grade(False, status)


@pytest.mark.parametrize("function", ["grading_functions:missing", "no_such_module:f"])
def test_a_function_that_is_not_there(function: str) -> None:
    with FunctionVerifier(function) as verifier, pytest.raises(ExecutorError, match="Error: "):
        verifier.submit(problem("1"), "1").result()


@pytest.mark.parametrize("function", ["f", "a.b.f", ":f", "m:", "m:f()", "m:a.b", None])
def test_a_malformed_function_name(function: str) -> None:
    with pytest.raises(ConfigError, match=r"package\.module:function"):
        FunctionVerifier(function)


@pytest.mark.parametrize("limit_s", [0, -1, float("nan"), "5", True])
def test_bad_limit(limit_s: float) -> None:
    with pytest.raises(ConfigError, match="limit_s"):
        MathVerifier(limit_s=limit_s)
