"""Computing expressions: exact fractions where possible, else numbers of many digits."""

from collections.abc import Callable, Mapping
from typing import Any

from rstar_fast.verify.grade.compare.computed import Computed, checked, context
from rstar_fast.verify.grade.compare.operations import OPERATIONS
from rstar_fast.verify.grade.read.expressions import Apply, Expression, Name, Number

_CONSTANTS: dict[str, Callable[[], Any]] = {
    "pi": lambda: +context.pi,
    "e": lambda: +context.e,
    "i": lambda: context.mpc(0, 1),
    "inf": lambda: context.inf,
}


def evaluate(expression: Expression, names: Mapping[str, Computed]) -> Computed:
    """Compute an expression.

    Args:
        expression: What to compute.
        names: Values of its variables.

    Raises:
        TooLargeError: A part is too large.
        UndefinedError: It has no value.
        KeyError: A variable has no value.
    """
    match expression:
        case Number(value):
            return checked(value)
        case Name(text):
            return names[text] if text in names else _CONSTANTS[text]()
        case Apply(head, operands):
            return checked(OPERATIONS[head](*[evaluate(one, names) for one in operands]))
