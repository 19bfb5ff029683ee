"""Whether two expressions are equal: as numbers, as decimals of a precision, or as functions."""

import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rstar_fast.verify.grade.compare.evaluate import (
    Computed,
    TooLargeError,
    UndefinedError,
    context,
    evaluate,
    inexact,
)
from rstar_fast.verify.grade.read.expressions import (
    Apply,
    Expression,
    Name,
    Number,
    names_of,
    renamed,
)

LONG_DIGITS = 10
"""Fewest significant digits of a decimal that may carry an error of floating point."""
FLOAT_ERROR = Fraction(1, 10**9)
"""Largest relative error of floating point."""
ROUNDED_DECIMALS = 4
"""Fewest decimals, and fewest significant digits, of a decimal that may stand for a number that has
no end."""

_PRECISIONS = (60, 400)
"""Significant digits of the two looks at numbers that are not exact."""
_MARGIN = 20
"""Digits that may be lost in a computation."""
_SPELLINGS = {"I": Name("i"), "j": Name("i"), "J": Name("i"), "E": Name("e")}
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Decimal:
    """A number as a decimal states it.

    Attributes:
        value: Its value.
        decimals: Number of digits behind the point. None for an integer.
        digits: Number of significant digits.
    """

    value: Fraction
    decimals: int | None
    digits: int

    @property
    def last_place(self) -> Fraction:
        """Value of a 1 in the last digit."""
        return Fraction(1, 10 ** (self.decimals or 0))


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
    except (TooLargeError, OverflowError, MemoryError):
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
                ratios.append(_divide(above, below))
            except (UndefinedError, ZeroDivisionError):
                continue
        if len(ratios) < 2:
            return None
        return all(_close(ratios[0], ratio, _PRECISIONS[0]) for ratio in ratios[1:])
    except (TooLargeError, OverflowError, MemoryError):
        return None


def value_of(expression: Expression) -> Computed | None:
    """Return the value of an expression without variables, or None if it has none."""
    try:
        with context.workdps(_PRECISIONS[0]):
            return evaluate(expression, {})
    except (KeyError, ArithmeticError, ValueError, MemoryError):
        return None


def same_number(first: Computed, second: Computed) -> bool:
    """Return whether two computed values are the same number."""
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        return first == second
    return _close(first, second, _PRECISIONS[0])


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
    with context.workdps(_PRECISIONS[0]):
        first, second = evaluate(gold, {}), evaluate(answer, {})
        if isinstance(first, Fraction) and isinstance(second, Fraction):
            if first == second:
                return True
        elif _close(first, second, _PRECISIONS[0]):
            return _confirmed(gold, answer)
        return _equal_decimals(gold, answer, first, second)


def _confirmed(gold: Expression, answer: Expression) -> bool | None:
    """Look again with more digits at two numbers that seem to be equal."""
    with context.workdps(_PRECISIONS[1]):
        first, second = evaluate(gold, {}), evaluate(answer, {})
        size = max(abs(inexact(first)), abs(inexact(second)))
        if size > 0 and context.mag(size) > 3 * _PRECISIONS[1]:
            return None
        return _close(first, second, _PRECISIONS[1])


def _close(first: Computed, second: Computed, precision: int) -> bool:
    if context.isinf(inexact(first)) or context.isinf(inexact(second)):
        return bool(inexact(first) == inexact(second))
    difference = abs(inexact(first) - inexact(second))
    size = max(abs(inexact(first)), abs(inexact(second)))
    if first == 0 or second == 0:
        size = context.mpf(1)
    return bool(difference <= size * context.mpf(10) ** (_MARGIN - precision))


def stated(expression: Expression) -> Decimal | None:
    """Return what a decimal states, with its sign and its power of ten. None for other forms."""
    match expression:
        case Number(value, decimals, digits):
            is_plain = decimals is not None or value.denominator == 1
            return Decimal(value, decimals, digits) if is_plain else None
        case Apply("neg", (operand,)):
            inner = stated(operand)
            return None if inner is None else Decimal(-inner.value, inner.decimals, inner.digits)
        case Apply(
            "*", (Number(value, decimals, digits), Apply("^", (Number(value=base), power)))
        ) if base == 10:
            exponent = value_of(power)
            if isinstance(exponent, Fraction) and exponent.denominator == 1 and abs(exponent) < 400:
                places = (decimals or 0) - int(exponent)
                return Decimal(value * Fraction(10) ** int(exponent), max(0, places), digits)
    return None


def _equal_decimals(
    gold: Expression, answer: Expression, first: Computed, second: Computed
) -> bool | None:
    """Compare two numbers that are not equal, where one may be rounded."""
    states = stated(gold), stated(answer)
    decimals = [one for one in states if one is not None and one.decimals is not None]
    difference = abs(inexact(first) - inexact(second))
    if all(one is not None for one in states) and decimals:
        coarse, fine = sorted(
            (one for one in states if one is not None), key=lambda one: one.decimals or 0
        )
        if _is_float_error(coarse, fine, difference):
            return True
        if coarse.decimals is None:
            return _is_noise_of_zero(coarse, fine)
        return _rounds_to(coarse, difference)
    if decimals:
        return _is_long_copy(decimals[0], difference, first) or _rounds_to(decimals[0], difference)
    if _has_long_decimal(gold) or _has_long_decimal(answer):
        return bool(difference <= _relative(first, second))
    return False


def _relative(first: Computed, second: Computed) -> Any:
    size = max(abs(inexact(first)), abs(inexact(second)))
    return context.mpf(0) if context.isinf(size) else size * inexact(FLOAT_ERROR)


def _is_float_error(coarse: Decimal, fine: Decimal, difference: Any) -> bool:
    """Return whether a long decimal is a short one but for the error of floating point."""
    return bool(
        fine.digits >= LONG_DIGITS
        and difference <= _relative(coarse.value, fine.value)
        and difference <= inexact(coarse.last_place) * context.mpf("1e-5")
    )


def _is_noise_of_zero(coarse: Decimal, fine: Decimal) -> bool:
    """Return whether a long decimal is what floating point leaves of 0."""
    return (
        coarse.value == 0 and fine.digits >= LONG_DIGITS and abs(fine.value) < Fraction(1, 10**14)
    )


def _is_long_copy(decimal: Decimal, difference: Any, exact: Computed) -> bool:
    return bool(decimal.digits >= LONG_DIGITS and difference <= _relative(exact, decimal.value))


def _rounds_to(coarse: Decimal, difference: Any) -> bool | None:
    """Return whether a number rounds to a decimal that states enough digits of it."""
    if difference > inexact(coarse.last_place) / 2:
        return False
    enough = (coarse.decimals or 0) >= ROUNDED_DECIMALS and coarse.digits >= ROUNDED_DECIMALS
    return True if enough else None


def _has_long_decimal(expression: Expression) -> bool:
    match expression:
        case Number(_, decimals, digits):
            return decimals is not None and digits >= LONG_DIGITS
        case Apply(_, operands):
            return any(map(_has_long_decimal, operands))
    return False


def _equal_functions(gold: Expression, answer: Expression, names: list[str]) -> bool | None:
    long = _has_long_decimal(gold) or _has_long_decimal(answer)
    compared = 0
    with context.workdps(_PRECISIONS[0]):
        for round_number in range(_ROUNDS):
            positive = round_number < _ROUNDS // 2
            point = _point(names, round_number, positive)
            try:
                first, second = evaluate(gold, point), evaluate(answer, point)
            except (UndefinedError, ZeroDivisionError):
                continue
            difference = abs(inexact(first) - inexact(second))
            near = long and difference <= _relative(first, second)
            if not near and not _close(first, second, _PRECISIONS[0]):
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


def _divide(above: Computed, below: Computed) -> Computed:
    if isinstance(above, Fraction) and isinstance(below, Fraction):
        return above / below
    return inexact(above) / inexact(below)
