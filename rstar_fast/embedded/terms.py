"""The terms of the generated equations, and what a reader may take them for.

A term has a shape, such as "-a*(x - b)", and numbers for the letters of the shape. Each has a tier,
from 0 (plain) to 5. A reading of a term says what it adds to the coefficient of x and to the
constant of its side, as Python expressions with their signs. Every shape has one right reading and
some mistakes that people make.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

NUM_TIERS = 6


class Reading(NamedTuple):
    """What a term adds to its side.

    Attributes:
        coefficient: Addition to the coefficient of x, as in "+ 3*2". "" for none.
        constant: Addition to the constant, as in "- 3*4". "" for none.
    """

    coefficient: str
    constant: str


@dataclass(frozen=True)
class Shape:
    """The shape of a term.

    Attributes:
        text: Text of the term with its sign, over x and the letters a, b and c.
        readings: The right reading, and then mistakes.
        tier: Tier of the shape, 0 (plain) to 5.
    """

    text: str
    readings: tuple[Reading, ...]
    tier: int

    @property
    def letters(self) -> str:
        """Letters of the shape, in order."""
        return "".join(letter for letter in "abc" if letter in self.text)


@dataclass(frozen=True)
class Term:
    """A term of an equation.

    Attributes:
        shape: Shape of the term.
        numbers: Values of the shape's letters, >= 2.
    """

    shape: Shape
    numbers: tuple[int, ...]

    @property
    def text(self) -> str:
        """Text of the term with its sign, as in "- 3*(x - 4)"."""
        return self._fill(self.shape.text)

    def reading(self, number: int = 0) -> Reading:
        """Return a reading: 0 is the right one, 1 and more are mistakes."""
        return Reading(*map(self._fill, self.shape.readings[number]))

    @property
    def coefficient(self) -> int:
        """Number that the term adds to the coefficient of x."""
        return total([self.reading().coefficient])

    @property
    def constant(self) -> int:
        """Number that the term adds to the constant."""
        return total([self.reading().constant])

    def _fill(self, text: str) -> str:
        values: Mapping[str, int] = dict(zip(self.shape.letters, self.numbers, strict=True))
        return "".join(str(values.get(char, char)) for char in text)


def joined(additions: list[str]) -> str:
    """Return signed additions as one Python expression, "0" if there are none.

    >>> joined(["+ 3*4", "", "- 5"]), joined(["- 2"]), joined([])
    ('3*4 - 5', '-2', '0')
    """
    text = " ".join(addition for addition in additions if addition)
    if text.startswith("+ "):
        return text[2:]
    return f"-{text[2:]}" if text else "0"


def total(additions: list[str]) -> int:
    """Return the value of signed additions."""
    return int(eval(joined(additions)))


def _shape(tier: int, text: str, *readings: tuple[str, str]) -> Shape:
    return Shape(text, tuple(Reading(*reading) for reading in readings), tier)


SHAPES = (
    _shape(0, "+ a", ("", "+ a"), ("", "- a"), ("+ a", "")),
    _shape(0, "- a", ("", "- a"), ("", "+ a"), ("- a", "")),
    _shape(0, "+ a*x", ("+ a", ""), ("- a", ""), ("", "+ a")),
    _shape(0, "- a*x", ("- a", ""), ("+ a", ""), ("", "- a")),
    _shape(0, "+ a*(x + b)", ("+ a", "+ a*b"), ("+ a", "+ b"), ("+ a", "- a*b"), ("- a", "+ a*b")),
    _shape(1, "+ x*a", ("+ a", ""), ("", "+ a"), ("+ 1", "+ a"), ("- a", "")),
    _shape(1, "- x*a", ("- a", ""), ("", "- a"), ("- 1", "- a"), ("+ a", "")),
    _shape(1, "+ a*(x - b)", ("+ a", "- a*b"), ("+ a", "- b"), ("+ a", "+ a*b"), ("- a", "- a*b")),
    _shape(1, "+ (x + b)*a", ("+ a", "+ a*b"), ("+ 1", "+ a*b"), ("+ a", "+ b"), ("+ 1", "+ b")),
    _shape(2, "+ a*(b - x)", ("- a", "+ a*b"), ("+ a", "+ a*b"), ("+ a", "- a*b"), ("- a", "+ b")),
    _shape(2, "- a*(x + b)", ("- a", "- a*b"), ("- a", "+ a*b"), ("- a", "- b"), ("- a", "+ b")),
    _shape(2, "+ (x - b)*a", ("+ a", "- a*b"), ("+ 1", "- a*b"), ("+ a", "- b"), ("+ a", "+ a*b")),
    _shape(3, "- (x + b)", ("- 1", "- b"), ("- 1", "+ b"), ("+ 1", "- b"), ("+ 1", "+ b")),
    _shape(3, "- a*(x - b)", ("- a", "+ a*b"), ("- a", "- a*b"), ("- a", "- b"), ("- a", "+ b")),
    _shape(
        3,
        "+ a*(b*x + c)",
        ("+ a*b", "+ a*c"),
        ("+ b", "+ a*c"),
        ("+ a*b", "+ c"),
        ("+ a", "+ a*c"),
    ),
    _shape(3, "- (x + b)*a", ("- a", "- a*b"), ("- a", "+ a*b"), ("- 1", "- a*b"), ("- a", "- b")),
    _shape(4, "- (x - b)", ("- 1", "+ b"), ("- 1", "- b"), ("+ 1", "- b"), ("+ 1", "+ b")),
    _shape(4, "- a*(b - x)", ("+ a", "- a*b"), ("- a", "- a*b"), ("- a", "+ a*b"), ("+ a", "- b")),
    _shape(
        4,
        "+ a*(b*x - c)",
        ("+ a*b", "- a*c"),
        ("+ a*b", "- c"),
        ("+ b", "- a*c"),
        ("+ a*b", "+ a*c"),
    ),
    _shape(4, "- (b - x)*a", ("+ a", "- a*b"), ("- a", "- a*b"), ("- a", "+ a*b"), ("+ 1", "- b")),
    _shape(
        5,
        "- a*(b*x + c)",
        ("- a*b", "- a*c"),
        ("- a*b", "+ a*c"),
        ("- a*b", "- c"),
        ("- b", "- a*c"),
    ),
    _shape(
        5,
        "- a*(b*x - c)",
        ("- a*b", "+ a*c"),
        ("- a*b", "- a*c"),
        ("- a*b", "+ c"),
        ("- b", "+ a*c"),
    ),
    _shape(
        5,
        "- a*(c - b*x)",
        ("+ a*b", "- a*c"),
        ("- a*b", "- a*c"),
        ("+ b", "- a*c"),
        ("- a*b", "+ a*c"),
    ),
    _shape(
        5,
        "+ a*(c - b*x)",
        ("- a*b", "+ a*c"),
        ("+ a*b", "+ a*c"),
        ("- b", "+ a*c"),
        ("- a*b", "+ c"),
    ),
)
"""All shapes. The base knows those of tier 0 and has met the others with mistakes."""
