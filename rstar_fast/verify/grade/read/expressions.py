"""Expressions: a tree of numbers, names and operations."""

from dataclasses import dataclass
from fractions import Fraction

from rstar_fast.verify.grade.read.tokens import ReadError


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written.

    Attributes:
        value: Its exact value.
        decimals: Number of digits behind the decimal point. None for an integer.
        digits: Number of significant digits, from the first that is not zero.
    """

    value: Fraction
    decimals: int | None = None
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or a constant such as "pi".

    Attributes:
        text: Its name, with its subscript.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation or a function on operands.

    Attributes:
        head: "+", "*", "/", "^", "neg", "!", or the name of a function.
        operands: Its operands.
    """

    head: str
    operands: "tuple[Expression, ...]"


Expression = Number | Name | Apply

CONSTANTS = frozenset({"pi", "e", "i", "inf"})
"""Names that are no variables."""
_MAX_EXPONENT_DIGITS = 6


def number_of(text: str) -> Number:
    """Return a number as it is written.

    >>> number_of("0.0250")
    Number(value=Fraction(1, 40), decimals=4, digits=3)
    """
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent) > _MAX_EXPONENT_DIGITS:
        raise ReadError("an exponent of too many digits")
    whole, point, behind = mantissa.partition(".")
    digits = len((whole + behind).lstrip("0"))
    power = int(exponent or "0")
    value = Fraction(int((whole + behind) or "0")) * Fraction(10) ** (power - len(behind))
    decimals = max(0, len(behind) - power) if point or power < 0 else None
    return Number(value, decimals, digits)


def names_of(expression: Expression) -> frozenset[str]:
    """Return the variables of an expression. Constants are none."""
    match expression:
        case Name(text):
            return frozenset() if text in CONSTANTS else frozenset({text})
        case Apply(_, operands):
            return frozenset().union(*map(names_of, operands))
    return frozenset()


def renamed(expression: Expression, old: Name, new: Name) -> Expression:
    """Return an expression with another name for a variable."""
    if expression == old:
        return new
    if isinstance(expression, Apply):
        return Apply(expression.head, tuple(renamed(one, old, new) for one in expression.operands))
    return expression
