"""Generated word problems with solutions in the solution grammar.

A problem is a start amount, dated events that change it, and a question. It is drawn from `(split, seed, index)` alone. Which split
a question may serve is decided by a hash of its text, so that no text is in both.
"""

import hashlib
import random
import re
from dataclasses import dataclass, replace
from typing import Literal

from rstar_fast.embedded.templates import CALENDARS, CLOSINGS, ITEMS, NAMES, OPERATIONS, THINGS, WORLDS, World
from rstar_fast.steps import ANSWER, CODE, END_OF_ANSWER, END_OF_CODE, END_OF_STEP, observation_suffix

Split = Literal["train", "held_out"]

LEVELS = (1, 2, 3, 4, 5)
MODEL_LEVELS = (1, 2)
"""The levels that the embedded models are trained for."""
MAX_AMOUNT = 999
_HELD_OUT_SHARE = 10  # one question text in so many
_CLOSING_SHARE = 0.4
_ASIDE_SHARE = 0.3
_PHRASINGS = (2, 3, 5, 5, 5)  # how many of an operation's wordings each level knows
_LINE = re.compile(r"(?:([a-z]+) = ([a-z0-9 +*/-]+)|print\(([a-z]+)\))")


@dataclass(frozen=True)
class Move:
    """One step of a solution: a comment and the assignment it describes."""

    variable: str
    code: str
    comment: str


@dataclass(frozen=True)
class WordProblem:
    """A generated problem.

    Attributes:
        id: split, seed and index.
        question: the text.
        answer: a positive integer, as text.
        level: 1 (2 operations, plain wording) to 5 (5 operations, any wording).
        moves: the right steps, the start amount first.
        result: the variable that is printed.
    """

    id: str
    question: str
    answer: str
    level: int
    moves: tuple[Move, ...]
    result: str

    @property
    def steps(self) -> tuple[str, ...]:
        """The reference solution as search would hold it: the texts of its nodes, the observation included."""
        return render(self.moves, self.result)

    @property
    def solution(self) -> str:
        """The reference solution as one text."""
        return "".join(self.steps)


def word_problem(index: int, seed: int = 0, split: Split = "train", levels: tuple[int, ...] = MODEL_LEVELS) -> WordProblem:
    """Problem `index` of a seed's endless list."""
    rng = random.Random(f"{split}/{seed}/{index}")
    while True:
        problem = _draw(rng, rng.choice(levels))
        if problem and split_of(problem.question) == split:
            return replace(problem, id=f"{split}-{seed}-{index}")


def split_of(question: str) -> Split:
    """The only split a question may be in: one text in ten is held out."""
    return "train" if hashlib.blake2b(question.encode(), digest_size=8).digest()[0] % _HELD_OUT_SHARE else "held_out"


def render(moves: tuple[Move, ...], result: str) -> tuple[str, ...]:
    """The node texts of a solution: one per move, then the print with its observation, then the answer."""
    texts = [f"\n# Step {i}: {m.comment}\n{m.variable} = {m.code}\n{END_OF_STEP}" for i, m in enumerate(moves, 1)]
    texts[0] = CODE + texts[0]
    closing = f"\n# Now print the final answer\nprint({result})\n{END_OF_CODE}"
    observation = run_steps((*texts, closing))[1] or "error"
    answer = f"\n{ANSWER}The answer is \\boxed{{{observation}}}.{END_OF_ANSWER}"
    return (*texts, closing + observation_suffix(observation), answer)


def run_steps(steps: tuple[str, ...]) -> tuple[dict[str, int], str | None]:
    """Run the code of steps: assignments of integer arithmetic and prints, nothing else.

    Returns:
        The variables, and the printed line ("" before a print); None in its place where a line is anything else or fails.
    """
    variables: dict[str, int] = {}
    printed = ""
    for line in "".join(steps).split("\n"):
        if not line or line[0] in "#<":
            continue
        match = _LINE.fullmatch(line)
        if match is None or "**" in line:
            return variables, None
        name, code, shown = match.groups()
        try:
            if shown:
                printed = str(variables[shown])
            else:
                variables[name] = eval(code, {"__builtins__": {}}, variables)
        except Exception:
            return variables, None
    return variables, printed


def _draw(rng: random.Random, level: int) -> WordProblem | None:
    """A problem of a level, or None where the numbers came out too large or too small."""
    world = rng.choice(WORLDS)
    person, friend = rng.sample(NAMES, 2)
    words = {"A": person, "B": friend, "x": rng.choice(ITEMS)}
    words["v"] = world.variable.format(**words)
    num_events = (2, 3, rng.choice((3, 4)), 4, 5)[level - 1]
    closing = rng.choice(list(CLOSINGS)) if world is THINGS and rng.random() < _CLOSING_SHARE else None
    if closing:
        num_events -= len(CLOSINGS[closing][1])

    amount = rng.randint(6, 99)
    sentences = [rng.choice(world.start).format(n=amount, **words)]
    moves = [Move(words["v"], str(amount), f"start with {amount} {world.unit.format(**words)}")]
    labels = rng.choice(CALENDARS)
    first = rng.randrange(len(labels) - num_events + 1)
    for label in labels[first : first + num_events]:
        sentence, move = _event(rng, world, level, amount, words)
        amount = eval(move.code, {}, {words["v"]: amount})
        if not 0 < amount <= MAX_AMOUNT:
            return None
        sentences.append(f"{label} {sentence}.")
        moves.append(replace(move, comment=f"{label} {move.comment}"))
    if level >= 3 and rng.random() < _ASIDE_SHARE:
        sentences.insert(rng.randint(1, len(sentences)), rng.choice(world.asides).format(n=rng.randint(2, 99), **words))
    if closing:
        question, last_moves = _closing(rng, closing, amount, words)
        sentences.append(question)
        moves += last_moves
    else:
        sentences.append(rng.choice(world.ask).format(**words))
    result = moves[-1].variable
    answer = run_steps(render(tuple(moves), result)[:-1])[1]
    if answer is None or int(answer) < 1:
        return None
    return WordProblem("", " ".join(sentences), answer, level, tuple(moves), result)


def _event(rng: random.Random, world: World, level: int, amount: int, words: dict[str, str]) -> tuple[str, Move]:
    """An event's sentence, without its date, and its step."""
    while True:
        operation = rng.choice(list(OPERATIONS))
        a, b = rng.randint(2, 60), rng.randint(2, 12)
        if operation in ("add_groups", "sub_groups", "times", "dozen", "share"):
            a = rng.randint(2, 9)
        elif operation == "swap":
            b = rng.randint(2, 60)
        uneven = (operation == "half" and amount % 2) or (operation == "share" and amount % a)
        too_many = operation in ("keep", "sub", "swap") and a >= amount
        if operation in world.events and not uneven and not too_many:
            break
    code, comment = OPERATIONS[operation]
    values = {**words, "a": a, "b": b}
    phrasing = rng.choice(world.events[operation][: _PHRASINGS[level - 1]])
    return phrasing.format(**values), Move(words["v"], code.format(**values), comment.format(**values))


def _closing(rng: random.Random, closing: str, amount: int, words: dict[str, str]) -> tuple[str, list[Move]]:
    """The question and the last steps of a closing; bags that do not come out even are never asked for."""
    number = rng.randint(2, 5)
    if closing == "bags":
        number = rng.choice([d for d in range(2, 13) if amount % d == 0] or [amount])
    elif closing == "need":
        number = amount + rng.randint(3, 99)
    elif closing == "more":
        number = rng.randint(3, 60)
    question, steps = CLOSINGS[closing]
    moves = [Move(name, code.format(a=number, **words), text.format(a=number, **words)) for name, code, text in steps]
    return question.format(a=number, **words), moves
