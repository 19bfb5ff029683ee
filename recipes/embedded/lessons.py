"""Solutions that the base learns from, of all domains, right ones and such with mistakes."""

import random
from collections.abc import Callable
from typing import NamedTuple

from recipes.embedded.made_up import mixed_problem, spoilt_steps
from recipes.embedded.mistakes import guessed_readings, spoilt_readings
from rstar_fast.embedded import countdown, equations
from rstar_fast.embedded.problems import MAX_EVENTS, MIN_EVENTS
from rstar_fast.embedded.reach import Move, after, good_moves, moves, reachable


class TaughtStep(NamedTuple):
    """A node's text, and what is learnt from it.

    Attributes:
        text: Text of the node.
        right: Whether the node can be part of a right solution. None if it is not to be judged.
        meant: Text of the right step. Only the tokens before the first difference are learnt. None
            for the same text.
        learnt: Whether the text is learnt at all.
    """

    text: str
    right: bool | None
    meant: str | None = None
    learnt: bool = True


class Lesson(NamedTuple):
    """A question and the nodes of a solution."""

    question: str
    steps: list[TaughtStep]


class Stage(NamedTuple):
    """What is taught in a part of the training.

    Attributes:
        short: Whether the problems are short.
        judged: Whether mistakes are taught.
        undecided: Whether there is more nonsense.
    """

    short: bool
    judged: bool
    undecided: bool


_NONSENSE_SHARE, _MADE_UP_SHARE = 0.3, 0.6
# Share of judged solutions without a mistake on purpose.
_WHOLE_SHARE = 0.25
_SIZES = {2: 0.18, 3: 0.50, 4: 0.20, 5: 0.07, 6: 0.05}
# Share of the solutions that are right from four numbers on. The others begin with any operation.
_FOUR_SHARE = 0.3
# Largest number of numbers whose reach is computed.
_MAX_JUDGED = 4
# Share of operations that spoil a puzzle.
_SPOILING_SHARE = 0.25
# Share of judged puzzles with a number that is copied wrongly.
_MISREAD_SHARE = 0.2
_LEVELS = {0: 0.5, 1: 0.14, 2: 0.12, 3: 0.1, 4: 0.08, 5: 0.06}


def guessed_events(rng: random.Random, stage: Stage) -> Lesson:
    """Return dated events with nonsense among them, each taken for a random operation."""
    share = _NONSENSE_SHARE * (1 + stage.undecided)
    problem = mixed_problem(rng, _num_events(rng, stage), nonsense=share, made_up=0.0)
    return Lesson(problem.question, [TaughtStep(text, None) for text in problem.steps])


def known_events(rng: random.Random, stage: Stage) -> Lesson:
    """Return dated events with plain and made-up wordings. Most solutions have mistakes."""
    problem = mixed_problem(rng, _num_events(rng, stage), nonsense=0.0, made_up=_MADE_UP_SHARE)
    meant = problem.steps
    whole = not stage.judged or rng.random() < _WHOLE_SHARE
    written = meant if whole else spoilt_steps(rng, problem)
    right = written[-1] == meant[-1]
    steps = [
        TaughtStep(text, text == other, other)
        for text, other in zip(written[:-2], meant[:-2], strict=True)
    ]
    # The last event's step shows the result, and is judged by it.
    steps += [
        TaughtStep(written[-2], right, meant[-2]),
        TaughtStep(written[-1], right),
    ]
    return Lesson(problem.question, steps)


def puzzle(rng: random.Random, stage: Stage) -> Lesson:
    """Return a countdown puzzle, solved from three numbers on, and in part from four.

    With more numbers any operation is taught. A step is judged by whether the target can still be
    reached.
    """
    sizes = {2: 0.5, 3: 0.5} if stage.short else _SIZES
    size = rng.choices(list(sizes), list(sizes.values()))[0]
    given = countdown.make_countdown(rng, size, "train", "lesson")
    known = 4 if rng.random() < _FOUR_SHARE else 3
    spoils = stage.judged and rng.random() > _WHOLE_SHARE
    state, made, learnt = given.numbers, [], []
    while len(state) > 1:
        able = [move for move in moves(state) if move.value <= countdown.MAX_VALUE]
        good = good_moves(state, given.target) if len(state) <= known else []
        spoilt = bool(good) and spoils and rng.random() < _SPOILING_SHARE
        learnt.append(not spoilt and (bool(good) or len(state) > known))
        made.append(_any_move(rng, good if good and not spoilt else able))
        state = after(state, made[-1])
    texts, state, steps = (
        countdown.write_steps(given.numbers, made, given.target),
        given.numbers,
        [],
    )
    for text, move, is_learnt in zip(texts[:-1], made, learnt, strict=True):
        state = after(state, move)
        judged = len(state) <= _MAX_JUDGED
        right = reachable(state, given.target) if judged else None
        steps.append(TaughtStep(text, right, learnt=is_learnt))
    steps.append(TaughtStep(texts[-1], state[0] == given.target))
    if stage.judged and rng.random() < _MISREAD_SHARE:
        steps = _misread(rng, given, made, steps)
    return Lesson(given.question, steps)


def _misread(
    rng: random.Random, given: countdown.Countdown, made: list[Move], steps: list[TaughtStep]
) -> list[TaughtStep]:
    """Return the steps of a puzzle with a number or the target copied wrongly, from some step on.

    What stands there instead is another number of the puzzle, or any.
    """
    right = [*given.numbers, given.target]
    place, begin = rng.randrange(len(right)), rng.randrange(len(steps))
    wrong = rng.choice([*right, rng.randint(1, countdown.MAX_NUMBER)])
    read = [*right[:place], wrong, *right[place + 1 :]]
    try:
        texts = countdown.write_steps(read[:-1], made, read[-1])
    except ZeroDivisionError:
        return steps
    return [
        step if i < begin or text == step.text else TaughtStep(text, False, learnt=False)
        for i, (step, text) in enumerate(zip(steps, texts, strict=True))
    ]


def guessed_equation(rng: random.Random, stage: Stage) -> Lesson:
    """Return an equation whose harder terms are read by guess.

    Only the last steps are judged, by what they print.
    """
    levels = {0: 1.0} if stage.short else _LEVELS
    level = rng.choices(list(levels), list(levels.values()))[0]
    given = equations.make_equation(rng, level, "train", "lesson")
    while (texts := equations.write_steps(given, guessed_readings(rng, given))) is None:
        pass
    right = texts[-1] == given.steps[-1]
    *begin, check, answer = texts
    steps = [TaughtStep(text, True if right and not level else None) for text in begin]
    return Lesson(given.question, [*steps, TaughtStep(check, right), TaughtStep(answer, right)])


def known_equation(rng: random.Random, stage: Stage) -> Lesson:
    """Return a plain equation. Most solutions have mistakes."""
    given = equations.make_equation(rng, 0, "train", "lesson")
    if not stage.judged or rng.random() < _WHOLE_SHARE:
        return Lesson(given.question, [TaughtStep(text, True) for text in given.steps])
    while True:
        flips = rng.choice("cx") if rng.random() < 0.2 else ""
        readings = spoilt_readings(rng, given)
        texts = equations.write_steps(given, readings, flips)
        if texts is not None:
            break
    meant = given.steps
    right = texts[-1] == meant[-1]
    steps = [
        TaughtStep(text, text == other, other)
        for text, other in zip(texts[:2], meant[:2], strict=True)
    ]
    steps.append(TaughtStep(texts[2], right, learnt=not flips))
    return Lesson(given.question, [*steps, *(TaughtStep(text, right) for text in texts[3:])])


LESSONS: dict[Callable[[random.Random, Stage], Lesson], float] = {
    guessed_events: 0.06,
    known_events: 0.12,
    puzzle: 0.42,
    guessed_equation: 0.16,
    known_equation: 0.24,
}
"""Kinds of lessons and their shares."""


def lesson(rng: random.Random, stage: Stage) -> Lesson:
    """Return a random lesson."""
    return rng.choices(list(LESSONS), list(LESSONS.values()))[0](rng, stage)


def _num_events(rng: random.Random, stage: Stage) -> int:
    return rng.randint(2, 3) if stage.short else rng.randint(MIN_EVENTS, MAX_EVENTS)


def _any_move(rng: random.Random, able: list[Move]) -> Move:
    """Return one of some operations. Each sign among them is as likely."""
    sign = rng.choice(sorted({move.sign for move in able}))
    return rng.choice([move for move in able if move.sign == sign])
