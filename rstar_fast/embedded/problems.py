"""Graded word problems: a start amount and three to five dated events, from plain wordings (level 0) to idiomatic ones (level 5).

A problem is drawn from `(split, level, seed, index)` alone. Which split an instance may serve is decided by a hash of its events
and numbers, names and things left out: no held-out problem is a training problem told of somebody else.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Literal

from rstar_fast.embedded.phrasings import ASK, DAYS, ITEMS, NAMES, OPERATIONS, START, Operation
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
"""Training problems; held-out ones in the same wordings; held-out ones whose hardest events have wordings of this split alone."""

LEVELS = (0, 1, 2, 3, 4, 5)
MIN_EVENTS, MAX_EVENTS = 3, 5
MAX_AMOUNT = 999
_STARTS = (10, 80)
_HELD_OUT_SHARE = 10  # one instance in so many
_PLAINER_SHARE = 0.15  # of a level's easier events: those from anywhere below it
_TRIES = 400


@dataclass(frozen=True)
class DatedEvent:
    """What happens on one day.

    Attributes:
        operation: what it does to the amount.
        wording: of its sentence.
        numbers: that the sentence gives, {a} and {b}.
    """

    operation: Operation
    wording: str
    numbers: tuple[int, ...]

    @property
    def slots(self) -> dict[str, int]:
        """The numbers by the name of their slot."""
        return dict(zip("ab", self.numbers, strict=False))

    @property
    def code(self) -> str:
        """The new amount, an expression over n."""
        return self.operation.code.format(**self.slots)

    def run(self, amount: int) -> int:
        """The new amount as Python computes it, whether or not that makes sense."""
        return int(eval(_compiled(self.operation.code), {"n": amount, **self.slots}))

    def possible(self, amount: int) -> bool:
        """Whether it can happen: no more is taken than is there, shares come out even, something is left and not too much."""
        if self.operation.takes and self.numbers[0] >= amount:
            return False
        exact = eval(_compiled(self.operation.code.replace("//", "/")), {"n": amount, **self.slots})
        return bool(0 < exact <= MAX_AMOUNT and exact == int(exact))


@dataclass(frozen=True)
class GradedProblem:
    """A generated problem.

    Attributes:
        id: split, level, seed and index.
        level: 0 (plain) to 5.
        start: the first amount.
        first_day: index of the first event's day.
        events: in order, one a day.
        person: {A}.
        friend: {B}.
        thing: {x}.
    """

    id: str
    level: int
    start: int
    first_day: int
    events: tuple[DatedEvent, ...]
    person: str
    friend: str
    thing: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is told of each event, its day first."""
        days = DAYS[self.first_day :]
        return tuple(
            f"{day} {e.wording.format(**self._words, **e.slots)}"
            for day, e in zip(days, self.events, strict=False)
        )

    @property
    def question(self) -> str:
        """The text."""
        told = (f"{sentence}." for sentence in self.sentences)
        return " ".join([START.format(n=self.start, **self._words), *told, ASK])

    @property
    def _words(self) -> dict[str, str]:
        return {"A": self.person, "B": self.friend, "x": self.thing}

    @property
    def instance(self) -> str:
        """The problem without names and things."""
        return "|".join(
            [str(self.start), str(self.first_day), *(f"{e.wording}{e.code}" for e in self.events)]
        )

    @property
    def home(self) -> Literal["train", "held_out"]:
        """Where the instance belongs: one in ten is held out."""
        byte = hashlib.blake2b(self.instance.encode(), digest_size=8).digest()[0]
        return "train" if byte % _HELD_OUT_SHARE else "held_out"

    @property
    def answer(self) -> str:
        """The last amount, a positive integer."""
        return str(_last_amount(self.start, self.events))

    @property
    def problem(self) -> Problem:
        """What a search is given."""
        return Problem(self.id, self.question, (self.answer,))

    @property
    def steps(self) -> tuple[str, ...]:
        """The solution as a search would hold it: the texts of its nodes, the observation included."""
        return write_steps(self, self.events)


def graded_problem(index: int, seed: int, split: Split, level: int) -> GradedProblem:
    """Problem `index` of an endless list; level 0, all plain, is what the base is trained on (and is never reworded)."""
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
        problem = make_problem(rng, chosen, f"{split}-L{level}-{seed}-{index}", level)
        if problem is not None and problem.home == ("train" if split == "train" else "held_out"):
            return problem


def graded_problems(
    split: Split, per_level: int, seed: int = 0, levels: Sequence[int] = LEVELS
) -> list[GradedProblem]:
    """The first `per_level` problems of each level, the levels by turns; level 0 has none that are reworded."""
    levels = [level for level in levels if level or split != "reworded"]
    return [graded_problem(i, seed, split, level) for i in range(per_level) for level in levels]


def make_problem(
    rng: random.Random, chosen: Sequence[tuple[Operation, str]], name: str, level: int
) -> GradedProblem | None:
    """A problem of these operations and their wordings, in this order; None where no numbers that fit were found."""
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
                name, level, start, first_day, tuple(events), person, friend, rng.choice(ITEMS)
            )
    return None


def write_steps(problem: GradedProblem, events: Sequence[DatedEvent]) -> tuple[str, ...]:
    """The node texts of a solution of `problem` that takes `events` to be its events.

    A step for each: its comment repeats what the question tells, its code says what that means. The last one also prints.
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
    """The events' tiers: one or two of the level's own, at least one of the tier beneath, the rest mostly of that too."""
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
    """An operation's code with its slots as variables."""
    return compile(code.replace("{", "").replace("}", ""), code, "eval")
