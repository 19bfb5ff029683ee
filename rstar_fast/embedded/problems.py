"""Graded word problems: a start amount and three to five dated events.

Their level says how they are worded, from plain (0) to idiomatic (5). A problem depends on its
split, level, seed and index alone. A hash of its events and numbers, without names and things,
decides which split it belongs to: no held-out problem is a training problem told about somebody
else. A problem may tell the last digit of its answer, by which an answer can be checked.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Literal

from rstar_fast.embedded.phrasings import (
    ASK,
    DAYS,
    ITEMS,
    LAST_DIGIT,
    NAMES,
    OPERATIONS,
    START,
    Operation,
)
from rstar_fast.embedded.split import home_of
from rstar_fast.problems import Problem
from rstar_fast.steps import (
    ANSWER,
    CODE,
    END_OF_ANSWER,
    END_OF_CODE,
    END_OF_STEP,
    observation_suffix,
)

Split = Literal["train", "held_out", "reworded"]
"""Split of the problems.

"train" and "held_out" problems share their wordings. The hardest events of "reworded" problems,
which are held out too, have wordings that no other split has.
"""

LEVELS = (0, 1, 2, 3, 4, 5)
MIN_EVENTS, MAX_EVENTS = 3, 5
MAX_AMOUNT = 999
_STARTS = (10, 80)
# Share of the further events that may be of any lower tier. The others are of the next lower one.
_PLAINER_SHARE = 0.15
_TRIES = 400


@dataclass(frozen=True)
class DatedEvent:
    """An event of one day.

    Attributes:
        operation: Operation on the amount.
        wording: Wording of its sentence.
        numbers: Values of {a} and {b}, as many as the operation takes.
    """

    operation: Operation
    wording: str
    numbers: tuple[int, ...]

    @property
    def slots(self) -> dict[str, int]:
        """The numbers by the names of their slots."""
        return dict(zip("ab", self.numbers, strict=False))

    @property
    def code(self) -> str:
        """Python expression of the new amount, over n."""
        return self.operation.code.format(**self.slots)

    def run(self, amount: int) -> int:
        """Return the new amount as Python computes it, also where the event is not possible."""
        return int(eval(_compiled(self.operation.code), {"n": amount, **self.slots}))

    def possible(self, amount: int) -> bool:
        """Return whether the event makes sense for an amount.

        Fewer things are taken than are there, shares come out even, and the new amount is in
        1..`MAX_AMOUNT`.
        """
        if self.operation.takes and self.numbers[0] >= amount:
            return False
        exact = eval(_compiled(self.operation.code.replace("//", "/")), {"n": amount, **self.slots})
        return bool(0 < exact <= MAX_AMOUNT and exact == int(exact))


@dataclass(frozen=True)
class GradedProblem:
    """A generated problem.

    Attributes:
        id: Split, level, seed and index, as in "train-L2-0-7".
        level: Level of the wordings, 0 (plain) to 5.
        start: First amount.
        first_day: Index of the first event's day in `DAYS`.
        events: Events in order, one a day.
        person: Name for {A}.
        friend: Name for {B}.
        thing: Word for {x}.
        tells_digit: Whether the question tells the last digit of the answer.
    """

    id: str
    level: int
    start: int
    first_day: int
    events: tuple[DatedEvent, ...]
    person: str
    friend: str
    thing: str
    tells_digit: bool = False

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentence of each event, its day first, without a full stop."""
        days = DAYS[self.first_day :]
        return tuple(
            f"{day} {e.wording.format(**self._words, **e.slots)}"
            for day, e in zip(days, self.events, strict=False)
        )

    @property
    def question(self) -> str:
        """Text of the problem."""
        told = [f"{sentence}." for sentence in self.sentences]
        if self.tells_digit:
            told.append(LAST_DIGIT.format(n=self.answer[-1], **self._words))
        return " ".join([START.format(n=self.start, **self._words), *told, ASK])

    @property
    def _words(self) -> dict[str, str]:
        return {"A": self.person, "B": self.friend, "x": self.thing}

    @property
    def instance(self) -> str:
        """Text of the problem's start, days, wordings and numbers, without names and things.

        Nor is the last digit of the answer in it.
        """
        return "|".join(
            [str(self.start), str(self.first_day), *(f"{e.wording}{e.code}" for e in self.events)]
        )

    @property
    def home(self) -> Literal["train", "held_out"]:
        """Side that the instance belongs to: one in ten is held out."""
        return home_of(self.instance)

    @property
    def answer(self) -> str:
        """Last amount, a positive integer as text."""
        return str(_last_amount(self.start, self.events))

    @property
    def problem(self) -> Problem:
        """Problem as a search takes it."""
        return Problem(self.id, self.question, (self.answer,))

    @property
    def steps(self) -> tuple[str, ...]:
        """Texts of the nodes of a solution, as a search would hold them, with the observation."""
        return write_steps(self, self.events)


def graded_problem(
    index: int, seed: int, split: Split, level: int, tells_digit: bool = False
) -> GradedProblem:
    """Return a problem of an endless list.

    Problems of level 0 are worded plainly throughout. The base is trained on such wordings.

    Args:
        index: Place in the list, >= 0.
        seed: Seed of the list.
        split: Split of the problem.
        level: Level of the problem, from `LEVELS`. A reworded problem has at least 1.
        tells_digit: Whether the question tells the last digit of the answer.
    """
    name = f"{split}-L{level}-{seed}-{index}"
    if tells_digit:
        name = f"told:{split}:{level}:{seed}:{index}"
    rng = random.Random(f"{split}/{level}/{seed}/{index}")
    while True:
        chosen = [
            (operation, operation.wordings[tier])
            for tier in _tiers(rng, level)
            for operation in [rng.choice(OPERATIONS)]
        ]
        if split == "reworded":
            chosen = [
                (o, o.unseen if wording == o.wordings[level] else wording) for o, wording in chosen
            ]
        problem = make_problem(rng, chosen, name, level, tells_digit)
        if problem is not None and problem.home == ("train" if split == "train" else "held_out"):
            return problem


def graded_problems(
    split: Split, per_level: int, seed: int = 0, levels: Sequence[int] = LEVELS
) -> list[GradedProblem]:
    """Return the first problems of each level, the levels in turn.

    Args:
        split: Split of the problems. Level 0 has no "reworded" ones.
        per_level: Number of problems of each level, >= 0.
        seed: Seed of the problems.
        levels: Levels to take, from `LEVELS`.
    """
    levels = [level for level in levels if level or split != "reworded"]
    return [graded_problem(i, seed, split, level) for i in range(per_level) for level in levels]


def make_problem(
    rng: random.Random,
    chosen: Sequence[tuple[Operation, str]],
    name: str,
    level: int,
    tells_digit: bool = False,
) -> GradedProblem | None:
    """Return a problem with the given events. None if no numbers were found that make sense.

    Args:
        rng: Source of the numbers, names and things.
        chosen: Operation and wording of each event, in order.
        name: Id of the problem.
        level: Level of the problem.
        tells_digit: Whether the question tells the last digit of the answer.
    """
    for _ in range(_TRIES):
        amount = start = rng.randint(*_STARTS)
        events: list[DatedEvent] = []
        for operation, wording in chosen:
            event = DatedEvent(
                operation, wording, tuple(rng.randint(*ends) for ends in operation.ranges)
            )
            if not event.possible(amount):
                break
            events.append(event)
            amount = event.run(amount)
        else:
            person, friend = rng.sample(NAMES, 2)
            first_day = rng.randrange(len(DAYS) - len(events) + 1)
            return GradedProblem(
                name,
                level,
                start,
                first_day,
                tuple(events),
                person,
                friend,
                rng.choice(ITEMS),
                tells_digit,
            )
    return None


def write_steps(problem: GradedProblem, events: Sequence[DatedEvent]) -> tuple[str, ...]:
    """Return the node texts of a solution of `problem` that reads its events as `events`.

    Each event has a step. The comment of the step repeats the sentence of the question, and the
    code says what it means. The last step also prints.
    """
    texts = [
        f"\n# {told}\nn = {event.code}\n"
        for told, event in zip(problem.sentences, events, strict=True)
    ]
    texts[0] = f"{CODE}\n# start\nn = {problem.start}{texts[0]}"
    amount = str(_last_amount(problem.start, events))
    texts[-1] += f"print(n)\n{END_OF_CODE}{observation_suffix(amount)}"
    answer = f"\n{ANSWER}The answer is \\boxed{{{amount}}}.{END_OF_ANSWER}"
    return (*(text + END_OF_STEP for text in texts[:-1]), texts[-1], answer)


def _tiers(rng: random.Random, level: int) -> list[int]:
    """Return the tiers of the events.

    One or two are the level's own, at least one is the next lower, and so are most of the others.
    """
    count = rng.randint(MIN_EVENTS, MAX_EVENTS)
    if level == 0:
        return [0] * count
    tiers = [level] * rng.randint(1, 2)
    tiers.append(level - 1)
    while len(tiers) < count:
        tiers.append(rng.randrange(level) if rng.random() < _PLAINER_SHARE else level - 1)
    rng.shuffle(tiers)
    return tiers


def _last_amount(amount: int, events: Sequence[DatedEvent]) -> int:
    for event in events:
        amount = event.run(amount)
    return amount


@cache
def _compiled(code: str) -> CodeType:
    """Return the compiled code of an operation, with its slots as variables."""
    return compile(code.replace("{", "").replace("}", ""), code, "eval")
