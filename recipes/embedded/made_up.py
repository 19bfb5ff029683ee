"""Problems and solutions that the base learns from besides plain problems.

Nonsense sentences keep it undecided about wordings that it does not know. Sentences with a made-up
meaning, and solutions with mistakes, teach it to tell right steps from wrong ones on wordings that
no problem of the splits has.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from rstar_fast.embedded.phrasings import OPERATIONS, Operation, words_of
from rstar_fast.embedded.problems import DatedEvent, GradedProblem, make_problem, write_steps

NUM_MADE_UP = 600
_FUNCTION_WORDS = ("a", "and", "as", "for", "of", "the")
# Share of mistakes with another operation. The others have other numbers.
_WRONG_OPERATION_SHARE = 0.8
# Share of wordings with {b} before {a}, where an operation's numbers cannot be exchanged.
_REVERSED_SHARE = 0.25
# Share of problems that tell the last digit of their answer.
_DIGIT_SHARE = 1 / 3
# Share of the steps of a spoilt solution that have a mistake.
_MISTAKE_SHARE = 0.4


def mixed_problem(
    rng: random.Random, num_events: int, *, nonsense: float, made_up: float
) -> GradedProblem:
    """Return a training problem whose events are nonsense, made-up or plain.

    Args:
        rng: Source of the problem.
        num_events: Number of events, >= 1.
        nonsense: Share of events whose wording is invented anew and stands for a random operation.
        made_up: Share of events whose wording is one of `NUM_MADE_UP`, each with one meaning.
    """
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
        problem = make_problem(rng, chosen, "mixed", 0, rng.random() < _DIGIT_SHARE)
        if problem is not None and problem.home == "train":
            return problem


def spoilt_steps(rng: random.Random, problem: GradedProblem) -> tuple[str, ...]:
    """Return the node texts of a solution with one mistake or more.

    A mistake is mostly another operation with equally many numbers, and other numbers otherwise.
    """
    events = list(problem.events)
    wrong = [i for i in range(len(events)) if rng.random() < _MISTAKE_SHARE] or [
        rng.randrange(len(events))
    ]
    return write_steps(
        problem, [_spoil(rng, events, i) if i in wrong else event for i, event in enumerate(events)]
    )


def _spoil(rng: random.Random, events: Sequence[DatedEvent], at: int) -> DatedEvent:
    """Return one of the events with a mistake. Other numbers come from other events or a draw."""
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
    """Return `NUM_MADE_UP` invented wordings, each after the operation that it stands for."""
    rng = random.Random("made up")
    operations = [OPERATIONS[i % len(OPERATIONS)] for i in range(NUM_MADE_UP)]
    return tuple((operation, _invent(rng, operation)) for operation in operations)


def _invent(rng: random.Random, operation: Operation) -> str:
    """Return a wording of random words around the numbers of an operation.

    Only function words such as "of" occur in plain wordings too.
    """
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
    """Return the words of all wordings that no plain wording has, sorted."""
    plain = words_of(operation.wordings[0] for operation in OPERATIONS)
    others = words_of(
        wording
        for operation in OPERATIONS
        for wording in (*operation.wordings[1:], operation.unseen)
    )
    return tuple(word for word in others if word not in plain)
