"""Whether two equations or inequalities say the same."""

from rstar_fast.verify.grade.compare.matching import Verdict
from rstar_fast.verify.grade.compare.numbers import equal_expressions, proportional
from rstar_fast.verify.grade.read.expressions import Apply, Expression, names_of
from rstar_fast.verify.grade.read.values import FLIPPED, Named, Relation, Scalar


def as_relation(value: Named | Relation) -> Relation | None:
    """Return "y = 2x" as a relation between y and 2x. None where the value is no expression."""
    if isinstance(value, Relation):
        return value
    if isinstance(value.value, Scalar) and value.value.unit is None:
        return Relation((value.name, value.value.expression), ("=",))
    return None


def is_curve(value: Named | Relation) -> bool:
    """Return whether variables stand on the right side of "y = ..."."""
    if isinstance(value, Relation):
        return True
    return isinstance(value.value, Scalar) and bool(names_of(value.value.expression))


def same_relation(gold: Relation, answer: Relation) -> Verdict:
    """Compare two relations.

    Two equations are the same if the differences of their sides are proportional.
    """
    if gold.signs == answer.signs == ("=",):
        return proportional(_difference(gold), _difference(answer))
    if len(gold.signs) == len(answer.signs) == 1 and "=" in gold.signs + answer.signs:
        return False
    return True if any(_same_sides(gold, one) for one in (answer, _reverse(answer))) else None


def _difference(equation: Relation) -> Expression:
    left, right = equation.sides
    return Apply("+", (left, Apply("neg", (right,))))


def _same_sides(gold: Relation, answer: Relation) -> bool:
    return gold.signs == answer.signs and all(
        equal_expressions(*sides) for sides in zip(gold.sides, answer.sides, strict=True)
    )


def _reverse(relation: Relation) -> Relation:
    signs = tuple(FLIPPED[sign] for sign in reversed(relation.signs))
    return Relation(relation.sides[::-1], signs)
