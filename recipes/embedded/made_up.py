"""What the base learns beside plain problems: sentences without a meaning, sentences with a made-up one, and spoilt solutions.

The first keep it undecided about what it does not know; the other two teach it to tell right steps from wrong ones, on wordings
that no problem has.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from rstar_fast.embedded.phrasings import OPERATIONS, Operation, words_of
from rstar_fast.embedded.problems import DatedEvent, GradedProblem, make_problem, write_steps

NUM_MADE_UP = 600
_FUNCTION_WORDS = ("a", "and", "as", "for", "of", "the")
_WRONG_OPERATION_SHARE = 0.8
_REVERSED_SHARE = 0.25
_MISTAKE_SHARE = 0.4
"""Of the steps of a spoilt solution."""


def mixed_problem(
    rng: random.Random, num_events: int, *, nonsense: float, made_up: float
) -> GradedProblem:
    """A problem whose events are nonsense, made-up or plain, by these shares; nonsense stands for a random operation."""
    while True:
        chosen = []
        for _ in range(num_events):
            operation, kind = rng.choice(OPERATIONS), rng.random()
            if kind < nonsense:
                chosen.append((operation, _invent(rng, operation)))
            elif kind < nonsense + made_up:
                chosen.append(rng.choice(_made_up_wordings()))
            else:
                chosen.append((operation, operation.wordings[0]))
        problem = make_problem(rng, chosen, "mixed", 0)
        if problem is not None and problem.home == "train":
            return problem


def spoilt_steps(rng: random.Random, problem: GradedProblem) -> tuple[str, ...]:
    """A solution's node texts with mistakes, one or more: mostly another operation of the same arity, else other numbers."""
    events = list(problem.events)
    wrong = [i for i in range(len(events)) if rng.random() < _MISTAKE_SHARE] or [
        rng.randrange(len(events))
    ]
    return write_steps(
        problem, [_spoil(rng, events, i) if i in wrong else event for i, event in enumerate(events)]
    )


def _spoil(rng: random.Random, events: Sequence[DatedEvent], at: int) -> DatedEvent:
    event = events[at]
    if event.numbers and rng.random() > _WRONG_OPERATION_SHARE:
        others = [
            other.numbers
            for other in events
            if len(other.numbers) == len(event.numbers) and other.numbers != event.numbers
        ]
        drawn = tuple(rng.randint(low, high) for low, high in event.operation.ranges)
        numbers = rng.choice([*others, drawn])
        if numbers != event.numbers:
            return replace(event, numbers=numbers)
    same_arity = [
        o for o in OPERATIONS if len(o.ranges) == len(event.numbers) and o is not event.operation
    ]
    return replace(event, operation=rng.choice(same_arity))


@cache
def _made_up_wordings() -> tuple[tuple[Operation, str], ...]:
    """`NUM_MADE_UP` invented wordings and the operation that each stands for."""
    rng = random.Random("made up")
    operations = [OPERATIONS[i % len(OPERATIONS)] for i in range(NUM_MADE_UP)]
    return tuple((operation, _invent(rng, operation)) for operation in operations)


def _invent(rng: random.Random, operation: Operation) -> str:
    """A wording of random words that no plain wording has, around as many numbers as the operation takes."""
    words = rng.sample(_words(), rng.randint(2, 4))
    words.insert(rng.randint(0, 1), rng.choice(_FUNCTION_WORDS))
    slots = ["{a}", "{b}"][: len(operation.ranges)]
    if operation.order_matters and rng.random() < _REVERSED_SHARE:
        slots.reverse()
    places = sorted(rng.randint(0, len(words)) for _ in slots)
    for place, slot in sorted(
        zip(places, slots, strict=True), reverse=True, key=lambda pair: pair[0]
    ):
        words[place:place] = [slot, "{x}"] if rng.random() < 0.5 else [slot]
    return " ".join(["{A}", *words] if rng.random() < 0.5 else words)


@cache
def _words() -> tuple[str, ...]:
    plain = words_of(operation.wordings[0] for operation in OPERATIONS)
    others = words_of(
        wording
        for operation in OPERATIONS
        for wording in (*operation.wordings[1:], operation.unseen)
    )
    return tuple(word for word in others if word not in plain)
