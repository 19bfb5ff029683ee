"""What an answer can be: one dataclass for each type of value."""

from dataclasses import dataclass

from rstar_fast.verify.grade.read.expressions import Apply, Expression, Name
from rstar_fast.verify.grade.read.units import Unit

_INFINITIES = (Name("inf"), Apply("neg", (Name("inf"),)))


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or an expression, maybe with a unit.

    Attributes:
        expression: Its value, in its unit.
        unit: Its unit, if it has one.
    """

    expression: Expression
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A value with a name, such as "x = 5" or "f(x) = 2x".

    Attributes:
        name: What stands left of the equals sign.
        value: The value.
    """

    name: Expression
    value: "Value"


FLIPPED = {"<": ">", ">": "<", "le": "ge", "ge": "le", "ne": "ne", "=": "="}
"""Signs of relations as they read from right to left."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Expressions between which signs stand, such as an equation or "1 < x <= 2".

    Attributes:
        sides: The expressions.
        signs: What stands between them, one less: "=", "<", "le", ">", "ge" or "ne".
    """

    sides: tuple[Expression, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bracketed:
    r"""Values in brackets: a tuple, a list, a set, an interval, a point or a vector.

    Attributes:
        opening: "(", "[", `\\{` or "]" (the open end of an interval).
        closing: ")", "]", `\\}` or "[".
        items: The values.
    """

    opening: str
    closing: str
    items: "tuple[Value, ...]"

    @property
    def is_set(self) -> bool:
        """Whether neither order nor multiplicity counts."""
        return self.opening == r"\{"

    @property
    def is_list(self) -> bool:
        """Whether it may be a list of Python, which stands for a set too."""
        return (self.opening, self.closing) == ("[", "]")

    @property
    def is_endless(self) -> bool:
        """Whether one of the values is infinity, so that it is an interval."""
        return any(
            isinstance(item, Scalar) and item.expression in _INFINITIES for item in self.items
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """Several values without brackets, in any order.

    Attributes:
        items: The values, at least two.
    """

    items: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class Region:
    """A set that is made of sets of real numbers.

    Attributes:
        head: "cup", "cap" or "setminus" of the operands. "reals" without operands.
        operands: Intervals, finite sets, relations and regions.
    """

    head: str
    operands: "tuple[Value, ...]" = ()


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of values.

    Attributes:
        rows: The rows, all of the same length.
    """

    rows: "tuple[tuple[Value, ...], ...]"


@dataclass(frozen=True, slots=True)
class BaseNumber:
    """A number in a base that is written behind it.

    Attributes:
        digits: Its digits.
        base: Its base.
    """

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day, or numbers with colons between them.

    Attributes:
        parts: The numbers.
        half: "a" for a.m., "p" for p.m., "" where it is not said.
        is_time: Whether it can be a time of day.
    """

    parts: tuple[int, ...]
    half: str
    is_time: bool


@dataclass(frozen=True, slots=True)
class Option:
    """A letter of a multiple-choice question with the option's text behind it: "C. 12".

    Attributes:
        letter: The letter.
    """

    letter: str


@dataclass(frozen=True, slots=True)
class Words:
    """A word or a sentence.

    Attributes:
        text: Its letters and digits in lower case.
        written: Its letters and digits as they are written.
    """

    text: str
    written: str


@dataclass(frozen=True, slots=True)
class Conditioned:
    """A value under a condition, such as "n = 3k for k >= 1".

    Attributes:
        value: The value.
        condition: The condition, as the tokens spell it.
    """

    value: "Value"
    condition: tuple[str, ...]


Value = (
    Scalar
    | Named
    | Relation
    | Bracketed
    | Listing
    | Region
    | Matrix
    | BaseNumber
    | Clock
    | Option
    | Words
    | Conditioned
)
