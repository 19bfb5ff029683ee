r"""Answers that are arithmetic expressions of given numbers. Runs in the main process.

Nothing is executed as Python: an expression is parsed, and its value is computed in fractions. It
has plain integers of up to nine digits, `+ - * /`, `\times`, `\cdot`, `\div`, and round brackets.
"""

import ast
import operator
import re
from collections.abc import Callable
from concurrent.futures import Future
from fractions import Fraction
from typing import NamedTuple

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Layer

_MAX_CHARS, _MAX_NUMBERS = 500, 50
_NUMBER = re.compile(r"[0-9]+")
_STRANGE = re.compile(r"[^-+*/()0-9 ]|\*\s*\*|/\s*/|[0-9]{10}")
"""A character that no expression has, a power, a floor division, or a number that is too long."""
_TEX_SIGN = re.compile(r"\\(times|cdot|div)(?![A-Za-z])")
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Expression(NamedTuple):
    """What an expression says.

    Attributes:
        numbers: Numbers in it, sorted, each as often as it stands there.
        value: Value of the expression.
    """

    numbers: tuple[int, ...]
    value: Fraction


def read_expression(text: str) -> Expression | None:
    r"""Return what an expression says. None for any other text, and where it divides by zero.

    >>> read_expression(r"(25 - 4) \times 3")
    Expression(numbers=(3, 4, 25), value=Fraction(63, 1))
    >>> read_expression("2 ** 9") is read_expression("abs(2)") is None
    True
    """
    if len(text) > _MAX_CHARS:
        return None
    plain = _TEX_SIGN.sub(lambda sign: "/" if sign[1] == "div" else "*", text).strip(" $")
    if _STRANGE.search(plain) or len(_NUMBER.findall(plain)) > _MAX_NUMBERS:
        return None
    try:
        value = _value(ast.parse(plain, mode="eval").body)
    except (_NoExpressionError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
        return None
    return Expression(tuple(sorted(map(int, _NUMBER.findall(plain)))), value)


class ExpressionVerifier:
    """Verifier of expressions that have to use given numbers, each once, and reach a given value.

    The numbers and the value are those of the problem's accepted answers. An answer is right if it
    has the same numbers and the same value as any of them, computed exactly. Implements `Verifier`.
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0) -> None:
        """Make a verifier. It reads short texts at once, so both arguments change nothing."""

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        """Grade one answer.

        Raises:
            ProblemError: The problem has no accepted answer, or one that is no expression.
        """
        golds = [read_expression(gold) for gold in problem.answers]
        if not golds or None in golds:
            raise ProblemError(
                f"problem {problem.id!r}: answers: expected arithmetic expressions such as "
                f"(25 - 4)*3, got {', '.join(problem.answers) or 'none'}"
            )
        read = read_expression(answer)
        done: Future[Grade] = Future()
        done.set_result(Grade(read in golds, layer=Layer.READ if read is None else Layer.COMPARE))
        return done

    def close(self) -> None:
        """Do nothing: there are no workers."""


class _NoExpressionError(Exception):
    """The text is Python, but no expression of numbers."""


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(int() as number) if type(number) is int:
            return Fraction(number)
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case ast.BinOp(left, operation, right) if type(operation) in _OPERATORS:
            return _OPERATORS[type(operation)](_value(left), _value(right))
    raise _NoExpressionError
