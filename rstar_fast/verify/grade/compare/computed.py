"""Computed values: exact fractions, or numbers of many digits. Both are bounded."""

from fractions import Fraction
from typing import Any

import mpmath

MAX_BITS = 1 << 15
"""Most bits of the numerator and of the denominator of an exact value."""
MAX_EXPONENT_BITS = 1 << 20
"""Largest power of two, as its exponent, that a number of many digits may reach."""

DIGITS = 60
"""Significant digits of numbers that are not exact."""
context = mpmath.MPContext()
"""Arithmetic with `DIGITS` digits. Its precision is this package's alone."""
context.dps = DIGITS

Computed = Fraction | Any
"""An exact value, or a number of `context`."""


class TooLargeError(ArithmeticError):
    """The value, or a part of it, is too large to compute."""


class UndefinedError(ArithmeticError):
    """The expression has no value, because of a division by zero or the like."""


def inexact(value: Computed) -> Any:
    """Return a value as a number of `context`."""
    if isinstance(value, Fraction):
        return context.mpf(value.numerator) / context.mpf(value.denominator)
    return value


def checked(value: Computed) -> Computed:
    """Return a value in its simplest form.

    Raises:
        TooLargeError: It is too large to compute with.
        UndefinedError: It is not a number.
    """
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise TooLargeError
        return value
    if context.isnan(value):
        raise UndefinedError
    if isinstance(value, context.mpc) and value.imag == 0:
        value = value.real
    if abs(magnitude(value)) > MAX_EXPONENT_BITS:
        raise TooLargeError
    return value


def magnitude(value: Any) -> float:
    """Return the base-2 logarithm of a number's size, roughly."""
    if value == 0 or context.isinf(value):
        return 0.0
    return float(context.mag(value))
