"""Matching the items of two collections, in order or in any order."""

from collections.abc import Callable, Sequence

from rstar_fast.verify.grade.read.values import Value

MAX_UNORDERED = 200
"""Most items of a set or a listing that are matched in any order."""

Verdict = bool | None
"""True for equal, False for different, None where it cannot be decided."""
Equal = Callable[[Value, Value], Verdict]
"""The comparison of two items."""


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Return False if any is False, else None if any is None, else True."""
    if any(verdict is False for verdict in verdicts):
        return False
    return None if None in verdicts else True


def ordered(golds: Sequence[Value], answers: Sequence[Value], equal: Equal) -> Verdict:
    """Compare items by their places."""
    if len(golds) != len(answers):
        return False
    return all_of([equal(*pair) for pair in zip(golds, answers, strict=True)])


def unordered(golds: Sequence[Value], answers: Sequence[Value], equal: Equal) -> Verdict:
    """Match every accepted item with an item of its own."""
    if len(golds) != len(answers):
        return False
    left = list(answers)
    unmatched = []
    for gold in golds:
        if gold in left:
            left.remove(gold)
        else:
            unmatched.append(gold)
    if len(unmatched) > MAX_UNORDERED:
        return ordered(golds, answers, equal) or None
    is_sure = True
    for gold in unmatched:
        verdicts = [equal(gold, other) for other in left]
        if True not in verdicts:
            is_sure &= None not in verdicts
            return False if is_sure else None
        del left[verdicts.index(True)]
    return True


def distinct(items: Sequence[Value], equal: Equal) -> list[Value]:
    """Return the items without those that equal an earlier one."""
    found: list[Value] = []
    for item in items:
        if len(found) > MAX_UNORDERED or not any(equal(item, other) for other in found):
            found.append(item)
    return found
