"""Layer 3 of grading: right, wrong or unsure. Runs in grading workers."""

from collections.abc import Sequence

from rstar_fast.verify.base import Layer
from rstar_fast.verify.grade.compare.values import compare
from rstar_fast.verify.grade.library import equal_by_library, has_operator
from rstar_fast.verify.grade.read.reader import read
from rstar_fast.verify.grade.read.tokens import ReadError
from rstar_fast.verify.grade.read.values import Value

Judgement = tuple[bool | None, Layer]
"""True for right, False for wrong, None for unsure, and the layer that decided."""


def judge(golds: Sequence[str], answer: str, question: str = "") -> Judgement:
    r"""Return whether an answer that `settled_by_text` leaves open equals any accepted one.

    >>> judge([r"\frac{1}{2}"], "0.5")
    (True, <Layer.COMPARE: 'compare'>)
    >>> judge(["5"], "5...")
    (None, <Layer.READ: 'read'>)

    Args:
        golds: Accepted answers, one at least.
        answer: The answer.
        question: Text of the problem, which tells the units that are meant.
    """
    judgements = [_judge_one(gold, answer, question) for gold in golds]
    for wanted in (True, None):
        for verdict, layer in judgements:
            if verdict is wanted:
                return verdict, layer
    return judgements[-1]


def _judge_one(gold: str, answer: str, question: str) -> Judgement:
    values = _value(gold), _value(answer)
    if values[0] is not None and values[1] is not None:
        return compare(values[0], values[1], question), Layer.COMPARE
    if has_operator(gold) or has_operator(answer):
        return equal_by_library(gold, answer), Layer.LIBRARY
    return None, Layer.READ


def _value(answer: str) -> Value | None:
    try:
        return read(answer)
    except ReadError:
        return None
