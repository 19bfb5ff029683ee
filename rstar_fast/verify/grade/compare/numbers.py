"""Whether two expressions are equal: as numbers, as decimals of a precision, or as functions."""

import zlib
from fractions import Fraction

from rstar_fast.verify.grade.compare.computed import (
    Computed,
    TooLargeError,
    UndefinedError,
    context,
    inexact,
)
from rstar_fast.verify.grade.compare.decimals import equal_decimals, float_error, has_long_decimal
from rstar_fast.verify.grade.compare.evaluate import evaluate
from rstar_fast.verify.grade.compare.operations import divide
from rstar_fast.verify.grade.read.expressions import (
    Expression,
    Name,
    names_of,
    renamed,
)

_MORE_DIGITS = 400
"""Significant digits of a second look at numbers that seem to be equal."""
_MARGIN = 20
"""Digits that may be lost in a computation."""
_SPELLINGS = {"I": Name("i"), "j": Name("i"), "J": Name("i"), "E": Name("e")}
_ROUNDS = 4
_UNDECIDED = (TooLargeError, OverflowError, MemoryError, RecursionError)


def equal_expressions(gold: Expression, answer: Expression) -> bool | None:
    """Compare two expressions. Returns None where it cannot be decided.

    Expressions with variables are compared at a few points (R. Zippel, "Probabilistic algorithms
    for sparse polynomials", 1979). Unequal at a point with positive variables is unequal. Unequal
    only where variables are negative is not decided.
    """
    gold, answer = _same_spelling(gold, answer)
    if gold == answer:
        return True
    names = sorted(names_of(gold) | names_of(answer))
    try:
        if not names:
            return _equal_numbers(gold, answer)
        return _equal_functions(gold, answer, names)
    except _UNDECIDED:
        return None
    except (UndefinedError, ZeroDivisionError, ValueError):
        return False


def proportional(first: Expression, second: Expression) -> bool | None:
    """Return whether one expression is a constant times the other, other than 0."""
    first, second = _same_spelling(first, second)
    names = sorted(names_of(first) | names_of(second))
    ratios: list[Computed] = []
    try:
        for round_number in range(_ROUNDS + 2):
            point = _point(names, round_number, positive=round_number < 2)
            try:
                above, below = evaluate(first, point), evaluate(second, point)
                if above == 0 or below == 0:
                    if above != below:
                        return False
                    continue
                ratios.append(divide(above, below))
            except (UndefinedError, ZeroDivisionError):
                continue
        if len(ratios) < 2:
            return None
        return all(_close(ratios[0], ratio) for ratio in ratios[1:])
    except _UNDECIDED:
        return None


def value_of(expression: Expression) -> Computed | None:
    """Return the value of an expression without variables, or None if it has none."""
    try:
        return evaluate(expression, {})
    except (KeyError, ArithmeticError, ValueError, MemoryError):
        return None


def same_number(first: Computed, second: Computed) -> bool:
    """Return whether two computed values are the same number."""
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        return first == second
    return _close(first, second)


def _same_spelling(gold: Expression, answer: Expression) -> tuple[Expression, Expression]:
    """Read "I", "j" and "E" as constants on the side that alone has them."""
    both = names_of(gold), names_of(answer)
    for spelling, constant in _SPELLINGS.items():
        if spelling in both[0] and spelling not in both[1]:
            gold = renamed(gold, Name(spelling), constant)
        if spelling in both[1] and spelling not in both[0]:
            answer = renamed(answer, Name(spelling), constant)
    return gold, answer


def _equal_numbers(gold: Expression, answer: Expression) -> bool | None:
    first, second = evaluate(gold, {}), evaluate(answer, {})
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        if first == second:
            return True
    elif _close(first, second):
        return _confirmed(gold, answer)
    return equal_decimals(gold, answer, first, second)


def _confirmed(gold: Expression, answer: Expression) -> bool | None:
    """Look again with more digits at two numbers that seem to be equal."""
    with context.workdps(_MORE_DIGITS):
        first, second = evaluate(gold, {}), evaluate(answer, {})
        size = max(abs(inexact(first)), abs(inexact(second)))
        if size > 0 and context.mag(size) > 3 * _MORE_DIGITS:
            return None
        return _close(first, second)


def _close(first: Computed, second: Computed) -> bool:
    """Return whether two numbers agree in all digits of the precision but `_MARGIN`."""
    if context.isinf(inexact(first)) or context.isinf(inexact(second)):
        return bool(inexact(first) == inexact(second))
    difference = abs(inexact(first) - inexact(second))
    size = max(abs(inexact(first)), abs(inexact(second)))
    if first == 0 or second == 0:
        size = context.mpf(1)
    return bool(difference <= size * context.mpf(10) ** (_MARGIN - context.dps))


def _equal_functions(gold: Expression, answer: Expression, names: list[str]) -> bool | None:
    long = has_long_decimal(gold) or has_long_decimal(answer)
    compared = 0
    for round_number in range(_ROUNDS):
        positive = round_number < _ROUNDS // 2
        point = _point(names, round_number, positive)
        try:
            first, second = evaluate(gold, point), evaluate(answer, point)
        except (UndefinedError, ZeroDivisionError):
            continue
        difference = abs(inexact(first) - inexact(second))
        near = long and difference <= float_error(first, second)
        if not near and not _close(first, second):
            return False if positive else None
        compared += 1
    return True if compared >= _ROUNDS // 2 else None


def _point(names: list[str], round_number: int, positive: bool) -> dict[str, Computed]:
    """Return a value for each name. The same name has the same values in every process."""
    point: dict[str, Computed] = {}
    for name in names:
        drawn = zlib.crc32(f"{round_number} {name}".encode())
        value = Fraction(drawn % 1999 + 301, 1009)
        point[name] = value if positive or (round_number % 2 and drawn & 1 << 20) else -value
    return point
