"""Whether two numbers or expressions with units are equal."""

from fractions import Fraction

from rstar_fast.verify.grade.compare.numbers import equal_expressions
from rstar_fast.verify.grade.read.expressions import Apply, Expression, Name, Number, names_of
from rstar_fast.verify.grade.read.units import (
    PERCENT,
    Unit,
    mentions,
    mentions_dimension,
    unit_of_letter,
)
from rstar_fast.verify.grade.read.values import Scalar

_LETTERS = frozenset("mgshlLdt")
"""Units of one letter, which may be variables too."""


def compare_scalars(gold: Scalar, answer: Scalar, question: str) -> bool | None:
    """Compare two scalars. A unit may be missing on one side if it is the plain one.

    Args:
        gold: The accepted answer.
        answer: The answer.
        question: Text of the problem.
    """
    gold = _with_letter(gold, answer, question)
    answer = _with_letter(answer, gold, question)
    units = gold.unit, answer.unit
    if units[0] is not None and units[1] is not None:
        return _with_units(gold, answer, units[0], units[1])
    if units == (None, None):
        return equal_expressions(gold.expression, answer.expression)
    unit = units[0] or units[1]
    assert unit is not None
    if unit == PERCENT:
        return _percent(gold, answer, question)
    if not unit.is_plain:
        return False
    same = equal_expressions(gold.expression, answer.expression)
    if same and units[1] is not None and not _is_of_question(units[1], question):
        return None
    return same


def is_constant(scalar: Scalar) -> bool:
    """Return whether no variable stands in a scalar."""
    return not names_of(scalar.expression)


def _with_units(gold: Scalar, answer: Scalar, first: Unit, second: Unit) -> bool | None:
    if first.name == second.name:
        return equal_expressions(gold.expression, answer.expression)
    if first.dimension is None or first.dimension != second.dimension:
        return False
    return equal_expressions(_scaled(gold.expression, first), _scaled(answer.expression, second))


def _scaled(expression: Expression, unit: Unit) -> Expression:
    return Apply("*", (expression, Number(unit.size)))


def _percent(gold: Scalar, answer: Scalar, question: str) -> bool | None:
    hundredths = Number(Fraction(1, 100))
    values = [
        Apply("*", (one.expression, hundredths)) if one.unit else one.expression
        for one in (gold, answer)
    ]
    same = equal_expressions(*values)
    if same:
        return True
    bare = equal_expressions(gold.expression, answer.expression)
    if bare and (gold.unit is not None or mentions(question, PERCENT)):
        return True
    return None if bare else same


def _is_of_question(unit: Unit, question: str) -> bool:
    """Return whether a question that names units of a dimension names this one."""
    if unit.dimension is None or not mentions_dimension(question, unit.dimension):
        return True
    return mentions(question, unit)


def _with_letter(scalar: Scalar, other: Scalar, question: str) -> Scalar:
    """Read "5 m" as 5 metres, where the other side has a length or the question names metres."""
    match scalar:
        case Scalar(Apply("*", (number, Name(letter))), None) if letter in _LETTERS:
            unit = unit_of_letter(letter)
            if other.unit is not None:
                is_meant = other.unit.dimension == unit.dimension
            else:
                is_meant = is_constant(other) and mentions(question, unit)
            return Scalar(number, unit) if is_meant else scalar
    return scalar
