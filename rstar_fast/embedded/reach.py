"""Which operations a countdown puzzle permits, and whether a target can be reached.

A state is the numbers that are left, all of which have to be used. An operation takes two of them
and puts its value in their place. Values are positive integers, so divisions are exact.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

State = tuple[int, ...]
"""Numbers that are left, in any order."""


class Move(NamedTuple):
    """An operation on two of the numbers that are left.

    Attributes:
        left: Place of the first number, which is not less than the second.
        right: Place of the second number.
        sign: One of "+", "-", "*" and "/".
        value: Value of the operation.
    """

    left: int
    right: int
    sign: str
    value: int


def moves(state: Sequence[int]) -> Iterator[Move]:
    """Yield the operations that a state permits.

    Multiplying or dividing by 1 is among them. Equal numbers at other places give other operations.
    """
    for i, a in enumerate(state):
        for j, b in enumerate(state):
            if a < b or (a == b and i >= j):
                continue
            yield Move(i, j, "+", a + b)
            yield Move(i, j, "*", a * b)
            if a > b:
                yield Move(i, j, "-", a - b)
            if a % b == 0:
                yield Move(i, j, "/", a // b)


def after(state: Sequence[int], move: Move) -> State:
    """Return the numbers that are left after an operation, its value first."""
    return (move.value, *(n for i, n in enumerate(state) if i not in move[:2]))


def reachable(state: Sequence[int], target: int) -> bool:
    """Return whether operations on all numbers of a state give the target."""
    return _reachable(tuple(sorted(state)), target)


def good_moves(state: Sequence[int], target: int) -> list[Move]:
    """Return the operations after which the target can still be reached."""
    return [move for move in moves(state) if reachable(after(state, move), target)]


@lru_cache(maxsize=1 << 18)
def _reachable(state: State, target: int) -> bool:
    if len(state) == 1:
        return state[0] == target
    if len(state) == 2:
        b, a = state
        return target in (a + b, a * b, a - b) or (a % b == 0 and a // b == target)
    return any(_reachable(tuple(sorted(after(state, move))), target) for move in moves(state))
