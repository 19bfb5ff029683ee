"""Decimals: what they state, and whether they stand for a number that they are rounded from."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rstar_fast.verify.grade.compare.computed import Computed, context, inexact
from rstar_fast.verify.grade.read.expressions import Apply, Expression, Number

LONG_DIGITS = 10
"""Fewest significant digits of a decimal that may carry an error of floating point."""
FLOAT_ERROR = Fraction(1, 10**9)
"""Largest relative error of floating point."""
ROUNDED_DECIMALS = 4
"""Fewest decimals, and fewest significant digits, of a decimal that may stand for a number that has
no end."""


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
            exponent = stated(power)
            if exponent is not None and exponent.decimals is None and abs(exponent.value) < 400:
                places = (decimals or 0) - int(exponent.value)
                return Decimal(value * Fraction(10) ** int(exponent.value), max(0, places), digits)
    return None


def equal_decimals(
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
    if has_long_decimal(gold) or has_long_decimal(answer):
        return bool(difference <= float_error(first, second))
    return False


def float_error(first: Computed, second: Computed) -> Any:
    """Return the largest difference of two numbers that floating point may have made."""
    size = max(abs(inexact(first)), abs(inexact(second)))
    return context.mpf(0) if context.isinf(size) else size * inexact(FLOAT_ERROR)


def _is_float_error(coarse: Decimal, fine: Decimal, difference: Any) -> bool:
    """Return whether a long decimal is a short one but for the error of floating point."""
    return bool(
        fine.digits >= LONG_DIGITS
        and difference <= float_error(coarse.value, fine.value)
        and difference <= inexact(coarse.last_place) * context.mpf("1e-5")
    )


def _is_noise_of_zero(coarse: Decimal, fine: Decimal) -> bool:
    """Return whether a long decimal is what floating point leaves of 0."""
    return (
        coarse.value == 0 and fine.digits >= LONG_DIGITS and abs(fine.value) < Fraction(1, 10**14)
    )


def _is_long_copy(decimal: Decimal, difference: Any, exact: Computed) -> bool:
    return bool(decimal.digits >= LONG_DIGITS and difference <= float_error(exact, decimal.value))


def _rounds_to(coarse: Decimal, difference: Any) -> bool | None:
    """Return whether a number rounds to a decimal that states enough digits of it."""
    if difference > inexact(coarse.last_place) / 2:
        return False
    enough = (coarse.decimals or 0) >= ROUNDED_DECIMALS and coarse.digits >= ROUNDED_DECIMALS
    return True if enough else None


def has_long_decimal(expression: Expression) -> bool:
    """Return whether a decimal in an expression may carry an error of floating point."""
    match expression:
        case Number(_, decimals, digits):
            return decimals is not None and digits >= LONG_DIGITS
        case Apply(_, operands):
            return any(map(has_long_decimal, operands))
    return False
