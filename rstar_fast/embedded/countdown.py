"""Countdown puzzles: three to six numbers and a target, each number to be used once.

The level is the number of numbers. A hash of the sorted numbers and the target decides which split
a puzzle belongs to. A step of a solution is one operation. It prints the numbers that are left, and
the last one prints the target too:

    <code>
    print((25 - 4), 8, 3)
    <end_of_code>
    <output>21 8 3<end_of_output>
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rstar_fast.embedded.reach import Move, State, after, moves
from rstar_fast.embedded.split import home_of
from rstar_fast.problems import Problem
from rstar_fast.steps import ANSWER, CODE, END_OF_ANSWER, END_OF_CODE, observation_suffix

LEVELS = (3, 4, 5, 6)
MAX_NUMBER, MIN_TARGET, MAX_TARGET = 99, 10, 999
MAX_VALUE = 9999
"""Largest value on the way to a target."""
FORMAT = """

Final answer format instructions:
1. Provide your solution as a arithmetic expression (no '=' sign).
2. Do not include the target number in the expression.
3. Use '*' for multiplication.
4. Use '/' for division.
5. Do not include any other text or formatting.
"""
"""End of the questions of reasoning-gym."""
WORDINGS = (
    "Make {target} from the numbers {numbers}. Use each number once.",
    "Which expression of {numbers} gives {target}? Use each number once.",
    "Using all the numbers {numbers}, create an expression that equals {target}.\n"
    "You can only use each number once." + FORMAT,
    "Find a way to make {target} using all of these numbers: {numbers}.\n"
    "Each number can only be used once." + FORMAT,
    "Calculate {target} using all of these numbers: {numbers}.\n"
    "Each number may be used at most once." + FORMAT,
)
"""Wordings of a question. The last three are those of reasoning-gym."""


@dataclass(frozen=True)
class Countdown:
    """A countdown puzzle with a solution.

    Attributes:
        id: Kind, split, level, seed and index, as in "countdown:train:4:0:7".
        numbers: Numbers to use, each once.
        target: Value to reach.
        wording: Wording of the question, one of `WORDINGS`.
        moves: Operations of a solution, in order.
    """

    id: str
    numbers: State
    target: int
    wording: str
    moves: tuple[Move, ...]

    @property
    def question(self) -> str:
        """Text of the problem."""
        return self.wording.format(
            target=self.target, numbers=", ".join(str(number) for number in self.numbers)
        )

    @property
    def home(self) -> Literal["train", "held_out"]:
        """Side that the puzzle belongs to: one in ten is held out."""
        return home_of(f"{sorted(self.numbers)} {self.target}")

    @property
    def answer(self) -> str:
        """Expression that reaches the target. It also tells a verifier the numbers and the target.

        Any other expression of these numbers and this value is right too.
        """
        return write_expressions(self.numbers, self.moves)[0]

    @property
    def problem(self) -> Problem:
        """Problem as a search takes it."""
        return Problem(self.id, self.question, (self.answer,))

    @property
    def steps(self) -> tuple[str, ...]:
        """Texts of the nodes of a solution, as a search would hold them, with the observations."""
        return write_steps(self.numbers, self.moves, self.target)


def countdown(index: int, seed: int, split: Literal["train", "held_out"], level: int) -> Countdown:
    """Return a puzzle of an endless list.

    Args:
        index: Place in the list, >= 0.
        seed: Seed of the list.
        split: Split of the puzzle.
        level: Number of numbers, from `LEVELS`.
    """
    rng = random.Random(f"countdown/{split}/{level}/{seed}/{index}")
    return make_countdown(rng, level, split, f"countdown:{split}:{level}:{seed}:{index}")


def make_countdown(
    rng: random.Random, level: int, split: Literal["train", "held_out"], name: str
) -> Countdown:
    """Return a random puzzle of a split.

    Args:
        rng: Source of the puzzle.
        level: Number of numbers, >= 2.
        split: Split of the puzzle.
        name: Id of the puzzle.
    """
    while True:
        numbers = tuple(rng.randint(1, MAX_NUMBER) for _ in range(level))
        made = _random_moves(rng, numbers)
        target = made[-1].value
        puzzle = Countdown(name, numbers, target, rng.choice(WORDINGS), made)
        if MIN_TARGET <= target <= MAX_TARGET and target not in numbers and puzzle.home == split:
            return puzzle


def write_expressions(numbers: Sequence[int], made: Sequence[Move]) -> list[str]:
    """Return the numbers that are left after operations, as expressions.

    Every operation is in brackets, so that it is copied as it stands.
    """
    left = [str(number) for number in numbers]
    for i, j, sign, _ in made:
        left = [
            f"({left[i]} {sign} {left[j]})",
            *(text for at, text in enumerate(left) if at not in (i, j)),
        ]
    return left


def write_steps(numbers: Sequence[int], made: Sequence[Move], target: int) -> tuple[str, ...]:
    """Return the node texts of operations on numbers, and of the answer that they give.

    The operation that leaves one number prints the target beside it, to compare.
    """
    texts = []
    for count in range(1, len(made) + 1):
        left = write_expressions(numbers, made[:count])
        if len(left) == 1:
            left.append(str(target))
        # As Python prints it: a number that was divided is printed as in 5.0.
        printed = " ".join(str(eval(expression)) for expression in left)
        begin = CODE if count == 1 else f"\n{CODE}"
        texts.append(
            f"{begin}\nprint({', '.join(left)})\n{END_OF_CODE}{observation_suffix(printed)}"
        )
    answer = write_expressions(numbers, made)[0]
    return (*texts, f"\n{ANSWER}The answer is \\boxed{{{answer}}}.{END_OF_ANSWER}")


def _random_moves(rng: random.Random, numbers: State) -> tuple[Move, ...]:
    """Return operations that leave one number. Each sign that is possible is as likely."""
    state, made = numbers, []
    while len(state) > 1:
        able = [move for move in moves(state) if move.value <= MAX_VALUE]
        sign = rng.choice(sorted({move.sign for move in able}))
        made.append(rng.choice([move for move in able if move.sign == sign]))
        state = after(state, made[-1])
    return tuple(made)
