"""Reading a number or an expression, maybe with a unit."""

from collections.abc import Sequence
from fractions import Fraction

from rstar_fast.verify.grade.read.expression_reader import read_expression
from rstar_fast.verify.grade.read.expressions import Apply, Number
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token
from rstar_fast.verify.grade.read.units import begins_unit, currency, scale_and_unit
from rstar_fast.verify.grade.read.values import Scalar

_LONGEST_UNIT = 16
"""Most tokens of a unit."""


def read_scalar(tokens: tuple[Token, ...]) -> Scalar:
    """Read tokens as a number or an expression, maybe with a unit.

    Raises:
        ReadError: They are none.
    """
    at = 1 if len(tokens) > 1 and tokens[0].text == "-" else 0
    money = currency(tokens[at])
    if money is not None:
        value = read_scalar(tokens[:at] + tokens[at + 1 :])
        if value.unit not in (None, money):
            raise ReadError("two units")
        return Scalar(value.expression, money)
    unit_at = next((i for i in range(1, len(tokens)) if begins_unit(tokens, i)), None)
    if unit_at is not None:
        return _with_unit(tokens, unit_at)
    try:
        return Scalar(read_expression(tokens))
    except ReadError:
        for end in range(len(tokens) - 1, max(0, len(tokens) - _LONGEST_UNIT), -1):
            if not _is_numeric(tokens[:end]):
                continue
            try:
                return _with_unit(tokens, end)
            except ReadError:
                continue
        raise


def _with_unit(tokens: tuple[Token, ...], unit_at: int) -> Scalar:
    expression = read_expression(tokens[:unit_at])
    scale, unit = scale_and_unit(tokens[unit_at:])
    if scale != 1:
        expression = Apply("*", (expression, Number(Fraction(scale))))
    return Scalar(expression, unit)


def _is_numeric(tokens: Sequence[Token]) -> bool:
    """Return whether no word stands in tokens but the name of pi."""
    return not any(token.kind is Kind.WORD and token.text != "pi" for token in tokens)
