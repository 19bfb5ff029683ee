"""Reading and grading expressions, the hostile ones among them."""

from fractions import Fraction

import pytest

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Layer
from rstar_fast.verify.grade.expression import ExpressionVerifier, read_expression

PUZZLE = Problem("countdown:train:3:0:0", "Make 63 from 25, 4, 3.", "(25 - 4) * 3")


def right(answer: str) -> bool:
    return ExpressionVerifier().submit(PUZZLE, answer).result().correct


@pytest.mark.parametrize(
    "answer",
    [
        "(25 - 4) * 3",
        "3*(25-4)",
        "((25 - 4) * 3)",
        "$3 \\times (25 - 4)$",
        "3 \\cdot (25-4)",
        "(4 - 25) * -3",
        "  3 * (25 - 4) ",
    ],
)
def test_every_expression_of_the_numbers_with_the_value_is_right(answer: str) -> None:
    assert right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "63",
        "(25 - 4) * 3 + 0",
        "(25 - 4) * 3 / 1",
        "(25 - 4) + 4 * 3",
        "25 * 3 - 4 * 3",
        "3 + 4 + 25",
        "(25 - 4) * 3 = 63",
        "2 5 - 4 * 3",
        "(25 - 4)3",
        "",
        " ",
        "()",
    ],
)
def test_other_expressions_are_wrong(answer: str) -> None:
    assert not right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "9**9**9**9",
        "9* *9",
        "25 // 4",
        "25 / / 4",
        "63 / 0",
        "1 / (3 - 3)",
        "x",
        "abs(63)",
        "__import__('os').system('true')",
        "(25 - 4) * 3\n",
        "(25\n- 4) * 3",
        "(25 - 4) * 3 # right",
        "(25 - 4) * 3; 1",
        "(25 - 4) * 3, 1",
        "٢٥ - 4",
        "²5",
        "25 − 4",
        "1e9",
        "0x19",
        "1_000",
        "2.5e1",
        "6.3",
        "True + 62",
        "[63]",
        "03 * (25 - 4)",
        "9" * 5000,
        "1234567890",
        "+".join(["1"] * 3000),
        "(" * 5000 + "63" + ")" * 5000,
        "(" * 240 + "63" + ")" * 240,
        "-" * 480 + "63",
        "(" * 240,
        "1" + "+1" * 80,
        "\\frac{1}{2}",
        "\\timesx",
        "\x00",
        "\ud800",
    ],
)
def test_hostile_texts_are_no_expressions(answer: str) -> None:
    assert read_expression(answer) is None or answer.startswith("-")
    assert not right(answer)


def test_values_are_exact() -> None:
    third = read_expression("1 / 3 + 1 / 3 + 1 / 3")
    assert third and third.value == 1 and third.numbers == (1, 1, 1, 3, 3, 3)
    product = read_expression("*".join(["999999999"] * 40))
    assert product and product.value == Fraction(999999999) ** 40


def test_the_layer_says_whether_an_answer_could_be_read() -> None:
    verifier = ExpressionVerifier()
    layers = [verifier.submit(PUZZLE, text).result().layer for text in ("25 * 4 - 3", "25 x 4")]
    assert layers == [Layer.COMPARE, Layer.READ]
    verifier.close()


@pytest.mark.parametrize("answers", [(), ("any",), ("1/0",)])
def test_a_problem_needs_an_expression_to_be_graded_by(answers: tuple[str, ...]) -> None:
    problem = Problem("countdown:p", "q", answers)
    with pytest.raises(ProblemError, match="expected arithmetic expressions such as"):
        ExpressionVerifier().submit(problem, "1 + 2")
