"""Grading: answers that count as equal, hostile answers, and functions of the user's."""

from collections.abc import Iterator

import pytest

from rstar_fast.errors import ConfigError, ExecutorError, ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Status
from rstar_fast.verify.grade.answers import normalise
from rstar_fast.verify.grade.verifiers import FunctionVerifier, MathVerifier


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(limit_s=20) as running:
        yield running


def problem(*answers: str) -> Problem:
    return Problem("p", "?", answers)


EQUAL = [
    ("39", "39"),
    ("39", r"\boxed{39}"),
    ("39", "$39$."),
    ("3/4", "0.75"),
    ("50%", "0.5"),
    (r"50\%", "50%"),
    ("$18", "18"),
    ("18", "$18.00"),
    ("18", "18 dollars"),
    ("1,000", "1000"),
    ("1000000", "1,000,000"),
    ("x=5", "5"),
    ("5", "x = 5"),
    (r"\frac{9}{7}", "9/7"),
    (r"\dfrac{9}{7}", r"\frac97"),
    (r"1\frac{1}{2}", "1.5"),
    ("3/2", "1 1/2"),
    ("1/3", "0.333333"),
    ("7", "7.0"),
    ("1024", "2**10"),
    ("1000", "1e3"),
    ("(1,2)", "(1, 2)"),
    ("[1,2)", r"\left[1, 2\right)"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("1, 2", "[2, 1]"),
    ("20/3", "[20/3]"),
    ("2, 3", "x = 2 or x = 3"),
    (r"(5,\infty)", "x > 5"),
    (r"\text{east}", "East"),
    (r"\text{(B)}", "B"),
    (r"90^\circ", "90"),
    (r"2\sqrt{3}", "2*sqrt(3)"),
    (r"\frac{\sqrt{2+\sqrt{3}}}{2}", "sqrt(2 + sqrt(3))/2"),
    (r"\frac{1+\sqrt{5}}{2}", "1/2 + sqrt(5)/2"),
    (r"\frac{3}{4}", "Fraction(3, 4)"),
    (r"\frac{\pi}{2}", "pi/2"),
    ("3+4i", "3 + 4*I"),
    ("e^2", "exp(2)"),
    ("(x+1)^2", "x**2 + 2*x + 1"),
    ("y=2x+1", "y = 1+2x"),
    ("5!", "120"),
    ("-7", "-07"),
]
UNEQUAL = [
    ("2", "3"),
    ("1000000000000000000", "1000000000000000001.0"),
    ("[1,2)", "[1,2]"),
    ("(1,2)", "(2,1)"),
    ("1,2,3", "1,2"),
    ("A", "B"),
    ("east", "west"),
    ("3.14", r"\pi"),
    ("1/3", "0.33"),
    ("5", "5.01"),
    ("x+1", "y+1"),
    ("5", "?!"),
    ("5", ""),
    ("5", "five"),
    ("", "5"),
    ("", ""),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal(verifier: MathVerifier, gold: str, answer: str) -> None:
    assert verifier.submit(problem(gold), answer).result() == Grade(True)


@pytest.mark.parametrize(("gold", "answer"), UNEQUAL)
def test_unequal(verifier: MathVerifier, gold: str, answer: str) -> None:
    assert verifier.submit(problem(gold), answer).result() == Grade(False)


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
        assert verifier.submit(problem(r"\dfrac{1}{2}"), r"$\frac12$").result(0) == Grade(True)
        assert verifier.submit(problem("5"), "").result(0) == Grade(False)
        assert verifier.submit(
            problem("5", "-700000000000000000000"), "-700000000000000000001"
        ).result(0) == Grade(False)
        assert verifier.submit(problem("5"), "{" * 100_000).result(0) == Grade(False)
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
        assert grades[1].status is Status.TIMEOUT


@pytest.mark.slow
def test_same_grades_for_any_number_of_workers() -> None:
    pairs = [pair for pair in EQUAL + UNEQUAL if pair[0]] * 2

    def grades(workers: int) -> list[Grade]:
        with MathVerifier(workers=workers, limit_s=60) as verifier:
            return [
                future.result()
                for future in [verifier.submit(problem(gold), answer) for gold, answer in pairs]
            ]

    assert grades(1) == grades(3)


def test_normalise_keeps_what_differs_apart() -> None:
    answers = [
        "2x",
        "2X",
        "x",
        "X",
        "(1,2)",
        "[1,2]",
        "-1",
        "1",
        "1,2",
        "12",
        "1,234,5",
        "12345",
        r"\sqrt{2}",
        r"\sqrt2x",
    ]
    assert len({normalise(answer) for answer in answers}) == len(answers)


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
