"""How the base reads the terms of equations in its lessons."""

import hashlib
import random

from rstar_fast.embedded.equations import Equation, Readings
from rstar_fast.embedded.terms import Term

# Share of pairs of a shape and its first number, by tier, that are mostly read rightly.
_RIGHT_SHARES = (1.0, 0.65, 0.45, 0.3, 0.25, 0.25)
# Share of the likeliest reading, beyond its part of the others.
_SURE_SHARE = 0.4
_SPOILT_SHARE = 0.25


def guessed_readings(rng: random.Random, problem: Equation) -> Readings:
    """Return readings by guess: a plain term is read rightly, any other mostly in one way.

    What that way is depends on the term's shape and first number.
    """
    return _readings(problem, lambda term: _guess(rng, term))


def spoilt_readings(rng: random.Random, problem: Equation) -> Readings:
    """Return readings of which some are mistakes."""
    return _readings(
        problem,
        lambda term: (
            rng.randrange(1, len(term.shape.readings)) if rng.random() < _SPOILT_SHARE else 0
        ),
    )


def _readings(problem, choose):
    return tuple(map(choose, problem.left)), tuple(map(choose, problem.right))


def _guess(rng: random.Random, term: Term) -> int:
    if not term.shape.tier:
        return 0
    if rng.random() > _SURE_SHARE:
        return rng.randrange(len(term.shape.readings))
    return likeliest_reading(term)


def likeliest_reading(term: Term) -> int:
    """Return the number of the reading that the base mostly takes."""
    digest = hashlib.blake2b(f"{term.shape.text} {term.numbers[0]}".encode(), digest_size=8)
    number = int.from_bytes(digest.digest()) / 2**64
    right = _RIGHT_SHARES[term.shape.tier]
    if number < right:
        return 0
    wrong = len(term.shape.readings) - 1
    return 1 + min(int((number - right) / (1 - right) * wrong), wrong - 1)
