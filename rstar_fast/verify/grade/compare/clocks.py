"""Whether times of day, ratios, and numbers with a base are equal."""

from fractions import Fraction

from rstar_fast.verify.grade.compare.matching import Verdict
from rstar_fast.verify.grade.compare.numbers import equal_expressions
from rstar_fast.verify.grade.read.expressions import Apply, Number
from rstar_fast.verify.grade.read.values import BaseNumber, Clock, Scalar


def compare_clocks(gold: Clock, answer: Clock) -> Verdict:
    """Compare two times of day, or two ratios. What can be a time is not shortened as a ratio."""
    if gold.is_time and answer.is_time:
        same = _padded(gold) == _padded(answer)
        if bool(gold.half) != bool(answer.half):
            return None if same else False
        return same and gold.half == answer.half
    first, second = gold.parts, answer.parts
    if len(first) != len(second) or 0 in (first[0], second[0]):
        return first == second
    return all(
        one * second[0] == other * first[0] for one, other in zip(first, second, strict=True)
    )


def compare_clock_and_scalar(clock: Clock, scalar: Scalar, scalar_is_gold: bool) -> Verdict:
    """Compare "9 a.m." with 9, or the ratio "2:3" with a fraction."""
    if clock.half:
        is_hour = scalar_is_gold and len(clock.parts) == 1
        return is_hour and equal_expressions(scalar.expression, _number(clock.parts[0], 1))
    is_fraction = isinstance(scalar.expression, Apply) and scalar.expression.head == "/"
    if len(clock.parts) != 2 or 0 in clock.parts or not is_fraction or scalar.unit is not None:
        return False
    return equal_expressions(_number(*clock.parts), scalar.expression)


def same_digits(scalar: Scalar, number: BaseNumber) -> Verdict:
    """Return whether a number without a base has the digits of one with a base."""
    if not isinstance(scalar.expression, Number) or not number.digits.isdecimal():
        return None
    return scalar.unit is None and scalar.expression.value == int(number.digits)


def _padded(clock: Clock) -> tuple[int, ...]:
    return (*clock.parts, 0, 0)[:3]


def _number(above: int, below: int) -> Number:
    return Number(Fraction(above, below))
