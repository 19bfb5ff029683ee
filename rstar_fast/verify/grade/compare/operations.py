"""The operations and functions of expressions, on computed values.

What would take long or much memory raises `TooLargeError`.
"""

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import partial, reduce
from typing import Any

from rstar_fast.verify.grade.compare.computed import (
    MAX_BITS,
    MAX_EXPONENT_BITS,
    Computed,
    TooLargeError,
    UndefinedError,
    context,
    inexact,
    magnitude,
)

_MAX_FACTORIAL = 2500
_MAX_DEGREE = 10**6
"""Degrees from this on have no real roots of negative numbers here."""


def _exactly(operation: Callable[[Any, Any], Any], left: Computed, right: Computed) -> Computed:
    """Do an operation on two values, exactly if both are exact."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return operation(left, right)
    return operation(inexact(left), inexact(right))


def _folded(operation: Callable[[Any, Any], Any]) -> Callable[..., Computed]:
    """Return an operation on any number of values."""
    return lambda *operands: reduce(partial(_exactly, operation), operands)


def divide(left: Computed, right: Computed) -> Computed:
    """Return a ratio, exactly if both values are exact.

    Raises:
        UndefinedError: The second value is 0.
    """
    if right == 0:
        raise UndefinedError
    return _exactly(operator.truediv, left, right)


def _power(base: Computed, exponent: Computed) -> Computed:
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            return _integer_power(base, exponent.numerator)
        if isinstance(base, Fraction):
            exact = _exact_root(base, exponent.denominator)
            if exact is not None:
                return _integer_power(exact, exponent.numerator)
        is_odd_root = exponent.denominator % 2 and exponent.denominator < _MAX_DEGREE
        if is_odd_root and _is_negative(base):
            root = _root(base, Fraction(exponent.denominator))
            return _integer_power(root, exponent.numerator)
    return _inexact_power(inexact(base), inexact(exponent))


def _integer_power(base: Computed, exponent: int) -> Computed:
    if base == 0 and exponent <= 0:
        if exponent == 0:
            return Fraction(1)
        raise UndefinedError
    if not isinstance(base, Fraction):
        return _inexact_power(base, context.mpf(exponent))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base in (1, -1) or bits * abs(exponent) <= MAX_BITS:
        return base ** (exponent if base not in (1, -1) else exponent % 2)
    return _inexact_power(inexact(base), context.mpf(exponent))


def _inexact_power(base: Any, exponent: Any) -> Any:
    if base == 0:
        if context.re(exponent) > 0:
            return Fraction(0)
        raise UndefinedError
    size = abs(float(context.mag(base))) + 1
    if abs(context.mag(exponent)) > 64 or size * float(abs(exponent)) > MAX_EXPONENT_BITS:
        raise TooLargeError
    return context.power(base, exponent)


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    """Return the root of a fraction if that is a fraction, else None."""
    if (value < 0 and degree % 2 == 0) or not 0 < degree <= 64:
        return None
    parts = []
    for part in (abs(value.numerator), value.denominator):
        root = math.isqrt(part) if degree == 2 else _integer_root(part, degree)
        if root**degree != part:
            return None
        parts.append(root)
    return Fraction(-parts[0] if value < 0 else parts[0], parts[1])


def _integer_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def _is_negative(value: Computed) -> bool:
    return not isinstance(value, context.mpc) and value < 0


def _root(value: Computed, degree: Computed) -> Computed:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 0 < degree < _MAX_DEGREE:
        return _inexact_power(inexact(value), inexact(divide(Fraction(1), degree)))
    if isinstance(value, Fraction):
        exact = _exact_root(value, degree.numerator)
        if exact is not None:
            return exact
    if degree % 2 and _is_negative(value):
        return -_inexact_power(-inexact(value), 1 / inexact(degree))
    return _inexact_power(inexact(value), 1 / inexact(degree))


def _factorial(value: Computed) -> Computed:
    if isinstance(value, Fraction):
        if value.denominator == 1 and value < 0:
            raise UndefinedError
        if value.denominator == 1 and value <= _MAX_FACTORIAL:
            return Fraction(math.factorial(value.numerator))
    if abs(magnitude(inexact(value))) > 15:
        raise TooLargeError
    return context.gamma(inexact(value) + 1)


def _binomial(above: Computed, below: Computed) -> Computed:
    both = (above, below)
    if all(isinstance(one, Fraction) and one.denominator == 1 for one in both):
        if 0 <= below <= above <= 10_000:
            return Fraction(math.comb(int(above), int(below)))
        if above >= 0 and (below < 0 or below > above):
            return Fraction(0)
    if any(abs(magnitude(inexact(one))) > 15 for one in both):
        raise TooLargeError
    return context.binomial(inexact(above), inexact(below))


def _real(value: Computed) -> Fraction | Any:
    if isinstance(value, context.mpc):
        raise UndefinedError
    return value


def _floor(value: Computed) -> Computed:
    value = _real(value)
    if isinstance(value, Fraction):
        return Fraction(math.floor(value))
    if context.isinf(value) or magnitude(value) > MAX_BITS:
        raise TooLargeError
    return Fraction(int(context.floor(value)))


def _integers(values: tuple[Computed, ...]) -> list[int]:
    if not all(isinstance(value, Fraction) and value.denominator == 1 for value in values):
        raise UndefinedError
    return [int(value) for value in values]


def _modulo(left: Computed, right: Computed) -> Computed:
    left, right = _real(left), _real(right)
    if right == 0:
        raise UndefinedError
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left % right
    raise UndefinedError


def _log(value: Computed, base: Computed | None = None) -> Computed:
    if value == 0:
        raise UndefinedError
    natural = context.log(inexact(value))
    if base is None:
        return Fraction(0) if value == 1 else natural
    below = _log(base)
    if below == 0:
        raise UndefinedError
    ratio = natural / inexact(below)
    return _as_power(value, base, ratio)


def _as_power(value: Computed, base: Computed, ratio: Any) -> Computed:
    """Return a logarithm exactly where the value is a small power of the base."""
    if isinstance(value, Fraction) and isinstance(base, Fraction) and abs(ratio) < 2000:
        nearest = int(context.nint(context.re(ratio)))
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(nearest) <= MAX_BITS and base**nearest == value:
            return Fraction(nearest)
    return ratio


def _of_size(function: Callable[[Any], Any], limit: float) -> Callable[[Computed], Computed]:
    """Return a function of `context` for arguments below 2**limit."""

    def bounded(value: Computed) -> Computed:
        value = inexact(value)
        if magnitude(value) > limit:
            raise TooLargeError
        try:
            return function(value)
        except ZeroDivisionError:
            raise UndefinedError from None

    return bounded


def _at_zero(
    exact: int, function: Callable[[Computed], Computed]
) -> Callable[[Computed], Computed]:
    """Return a function whose value at 0 is exact."""
    return lambda value: Fraction(exact) if value == 0 else function(value)


def _exponential(value: Computed) -> Computed:
    return Fraction(1) if value == 0 else _inexact_power(+context.e, inexact(value))


OPERATIONS: dict[str, Callable[..., Computed]] = {
    "+": _folded(operator.add),
    "*": _folded(operator.mul),
    "/": divide,
    "^": _power,
    "neg": lambda value: -value,
    "!": _factorial,
    "sqrt": lambda value: _root(value, Fraction(2)),
    "cbrt": lambda value: _root(value, Fraction(3)),
    "root": _root,
    "binomial": _binomial,
    "abs": lambda value: abs(value),
    "floor": _floor,
    "ceil": lambda value: -_floor(-value),
    "mod": _modulo,
    "gcd": lambda *values: Fraction(math.gcd(*_integers(values))),
    "lcm": lambda *values: Fraction(math.lcm(*_integers(values))),
    "max": lambda *values: max(map(_real, values)),
    "min": lambda *values: min(map(_real, values)),
    "re": lambda value: context.re(inexact(value)),
    "im": lambda value: context.im(inexact(value)),
    "sign": lambda value: Fraction((_real(value) > 0) - (_real(value) < 0)),
    "degrees": lambda value: inexact(value) * context.pi / 180,
    "log": _log,
    "ln": _log,
    "lg": lambda value: _log(value, Fraction(10)),
    "exp": _exponential,
    "sin": _at_zero(0, _of_size(context.sin, 100)),
    "cos": _at_zero(1, _of_size(context.cos, 100)),
    "tan": _at_zero(0, _of_size(context.tan, 100)),
    "cot": _of_size(context.cot, 100),
    "sec": _at_zero(1, _of_size(context.sec, 100)),
    "csc": _of_size(context.csc, 100),
    "sinh": _at_zero(0, _of_size(context.sinh, 18)),
    "cosh": _at_zero(1, _of_size(context.cosh, 18)),
    "tanh": _at_zero(0, _of_size(context.tanh, 18)),
    "coth": _of_size(context.coth, 18),
    "arcsin": _at_zero(0, _of_size(context.asin, 1000)),
    "arccos": _of_size(context.acos, 1000),
    "arctan": _at_zero(0, _of_size(context.atan, 1000)),
    "arccot": _of_size(context.acot, 1000),
}
"""The operations by the heads of `Apply`."""
