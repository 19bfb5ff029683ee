"""Sets of real numbers as intervals, so that two descriptions of one set compare equal."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cmp_to_key

from rstar_fast.verify.grade.compare.computed import Computed, context, inexact
from rstar_fast.verify.grade.compare.matching import Verdict
from rstar_fast.verify.grade.compare.numbers import same_number, value_of
from rstar_fast.verify.grade.read.expressions import Apply, Expression, Name, names_of
from rstar_fast.verify.grade.read.values import (
    FLIPPED,
    Bracketed,
    Listing,
    Named,
    Region,
    Relation,
    Scalar,
    Value,
)


class NotRealSetError(Exception):
    """The value is no set of real numbers whose ends are numbers."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of an interval.

    Attributes:
        value: Where it is.
        after: False if the interval changes just before `value`, True if just after it. An interval
            [a, b) goes from (a, False) to (b, False), and (a, b] from (a, True) to (b, True).
    """

    value: Computed
    after: bool


Intervals = tuple[tuple[End, End], ...]
"""Disjoint intervals in rising order, none of which touch."""

_EVERYTHING: Intervals = ((End(context.ninf, False), End(context.inf, True)),)


def compare_regions(gold: Value, answer: Value) -> Verdict:
    """Compare two values as sets of real numbers.

    Returns False if only one of them is such a set, and None where it cannot be decided.
    """
    names = _variables_of(gold), _variables_of(answer)
    if all(names) and names[0] != names[1]:
        return None
    found = []
    for value in (gold, answer):
        try:
            found.append(intervals_of(value))
        except NotRealSetError:
            return None if type(gold) is type(answer) else False
    return same_intervals(*found)


def intervals_of(value: Value) -> Intervals:
    """Return a value as intervals. An interval, a set, a relation or a region may be one.

    Raises:
        NotRealSetError: It is none.
    """
    match value:
        case Region("reals"):
            return _EVERYTHING
        case Region(head, operands):
            first, *others = map(intervals_of, operands)
            for other in others:
                if head == "cup":
                    first = _union(first, other)
                else:
                    first = _common(first, other if head == "cap" else _complement(other))
            return first
        case Bracketed(opening, closing, (Scalar(low, None), Scalar(high, None))) if opening in (
            "(",
            "[",
        ) and closing in (")", "]"):
            return _interval(low, opening == "(", high, closing == "]")
        case Bracketed(_, _, items) if value.is_set:
            found: Intervals = ()
            for item in items:
                found = _union(found, _single(item))
            return found
        case Relation():
            return _solved(value)
        case Listing(items) if all(
            isinstance(item, Region | Relation | Bracketed) for item in items
        ):
            return intervals_of(Region("cup", items))
        case Named(Name(_), inner) if not isinstance(inner, Scalar):
            return intervals_of(inner)
    raise NotRealSetError


def same_intervals(first: Intervals, second: Intervals) -> bool:
    """Return whether two sets are the same."""
    return len(first) == len(second) and all(
        _compare(one, other) == 0
        for pair in zip(first, second, strict=True)
        for one, other in zip(*pair, strict=True)
    )


def _variables_of(value: Value) -> frozenset[str]:
    """Return the names of the variables that relations in a value restrict."""
    match value:
        case Relation(sides):
            return frozenset().union(*map(names_of, sides))
        case Region(_, operands):
            return frozenset().union(*map(_variables_of, operands))
        case Named(Name(name)):
            return frozenset({name})
    return frozenset()


def _single(item: Value) -> Intervals:
    if not isinstance(item, Scalar) or item.unit is not None:
        raise NotRealSetError
    return _interval(item.expression, False, item.expression, True)


def _interval(low: Expression, low_after: bool, high: Expression, high_after: bool) -> Intervals:
    ends = End(_number(low), low_after), End(_number(high), high_after)
    return (ends,) if _compare(*ends) < 0 else ()


def _number(expression: Expression) -> Computed:
    value = value_of(expression)
    if value is None or isinstance(value, context.mpc):
        raise NotRealSetError
    return value


def _solved(relation: Relation) -> Intervals:
    """Return the numbers that a relation between a variable and numbers allows."""
    sides, signs = relation.sides, relation.signs
    places = [i for i, side in enumerate(sides) if isinstance(side, Name) and names_of(side)]
    if len(places) != 1 or "=" in signs:
        raise NotRealSetError
    at = places[0]
    if len(sides) > 3 or (len(sides) == 3 and at != 1):
        raise NotRealSetError
    found = _EVERYTHING
    for i, sign in enumerate(signs):
        other = sides[i + 1] if i == at else sides[i]
        sign = sign if i == at else FLIPPED[sign]
        found = _common(found, _half_line(sign, other))
    return found


def _half_line(sign: str, bound: Expression) -> Intervals:
    infinite = Name("inf")
    below = Apply("neg", (infinite,))
    if sign == "ne":
        return _complement(_interval(bound, False, bound, True))
    if sign in ("<", "le"):
        return _interval(below, True, bound, sign == "le")
    return _interval(bound, sign == ">", infinite, False)


def _compare(first: End, second: End) -> int:
    values = first.value, second.value
    if isinstance(values[0], Fraction) and isinstance(values[1], Fraction):
        equal = values[0] == values[1]
    elif any(context.isinf(inexact(value)) for value in values):
        equal = inexact(values[0]) == inexact(values[1])
        if equal:
            return 0
    else:
        equal = same_number(*values)
    if equal:
        return first.after - second.after
    return -1 if inexact(values[0]) < inexact(values[1]) else 1


def _compare_beginnings(one: tuple[End, End], other: tuple[End, End]) -> int:
    return _compare(one[0], other[0])


def _union(first: Intervals, second: Intervals) -> Intervals:
    found: list[tuple[End, End]] = []
    for low, high in sorted(first + second, key=cmp_to_key(_compare_beginnings)):
        if found and _compare(low, found[-1][1]) <= 0:
            if _compare(high, found[-1][1]) > 0:
                found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return tuple(found)


def _complement(intervals: Intervals) -> Intervals:
    found: list[tuple[End, End]] = []
    low, last = _EVERYTHING[0]
    for begin, end in intervals:
        if _compare(low, begin) < 0:
            found.append((low, begin))
        low = end
    if _compare(low, last) < 0:
        found.append((low, last))
    return tuple(found)


def _common(first: Intervals, second: Intervals) -> Intervals:
    return _complement(_union(_complement(first), _complement(second)))
