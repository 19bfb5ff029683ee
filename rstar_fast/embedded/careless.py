"""Solutions with mistakes, for a policy to pick up a bad habit from and for a PPM to learn to see it."""

import random
import re
from dataclasses import replace

from rstar_fast.embedded.problems import WordProblem, render

CARELESS_SHARE = 0.6
_PLUS_OR_MINUS = re.compile(r"(\w+) ([+-]) (\d+)")


def careless(problem: WordProblem, number: int) -> tuple[str, ...]:
    """A solution by somebody who says the right thing and then, more often than not, writes plus for minus and minus for plus.

    Only where one number is added or taken away; everything else is as in the reference. `number` seeds it.

    Returns:
        The node texts.
    """
    rng = random.Random(f"careless/{number}")
    moves = []
    for move in problem.moves:
        match = _PLUS_OR_MINUS.fullmatch(move.code)
        if match and rng.random() < CARELESS_SHARE:
            move = replace(move, code=f"{match[1]} {'-' if match[2] == '+' else '+'} {match[3]}")
        moves.append(move)
    return render(tuple(moves), problem.result)
