"""Linear equations in one unknown, with brackets on either side.

Their level says how hard their hardest terms are to read, from plain (0) to 5. A hash of both sides
decides which split an equation belongs to. A solution has five steps: each side is read as a
coefficient of x and a constant, the equation is solved, the value is put into both sides, and the
answer is given. Every step prints what it found, so that a mistake shows at the fourth step:

    <code>
    # left
    print(3, 3*4 - 5)
    <end_of_code>
    <output>3 7<end_of_output>
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rstar_fast.embedded.split import home_of
from rstar_fast.embedded.terms import SHAPES, Shape, Term, joined
from rstar_fast.problems import Problem
from rstar_fast.steps import ANSWER, CODE, END_OF_ANSWER, END_OF_CODE, observation_suffix

LEVELS = (0, 1, 2, 3, 4, 5)
WORDINGS = ("Solve for x: {equation}.", "Find x if {equation}.", "Which x solves {equation}?")
MAX_CONSTANT = 99
_MIN_TERMS, _MAX_TERMS = 2, 3
_NUMBERS = (2, 9)
_MAX_SOLUTION = 20
# Share of the further terms that may be of any lower tier. The others are of the next lower one.
_PLAINER_SHARE = 0.3

Readings = tuple[tuple[int, ...], tuple[int, ...]]
"""Number of the reading of each term, left and right: 0 is the right one."""


@dataclass(frozen=True)
class Equation:
    """A linear equation.

    Attributes:
        id: Kind, split, level, seed and index, as in "equations:train:2:0:7".
        left: Terms of the left side, at least one.
        right: Terms of the right side, at least one.
        wording: Wording of the question, one of `WORDINGS`.
        solution: Value of x.
    """

    id: str
    left: tuple[Term, ...]
    right: tuple[Term, ...]
    wording: str
    solution: int

    @property
    def sides(self) -> tuple[str, str]:
        """Texts of both sides, which Python reads too."""
        return joined([t.text for t in self.left]), joined([t.text for t in self.right])

    @property
    def question(self) -> str:
        """Text of the problem."""
        return self.wording.format(equation=" = ".join(self.sides))

    @property
    def home(self) -> Literal["train", "held_out"]:
        """Side that the equation belongs to: one in ten is held out."""
        return home_of(" = ".join(self.sides))

    @property
    def answer(self) -> str:
        """Value of x, as text."""
        return str(self.solution)

    @property
    def problem(self) -> Problem:
        """Problem as a search takes it."""
        return Problem(self.id, self.question, (self.answer,))

    @property
    def steps(self) -> tuple[str, ...]:
        """Texts of the nodes of a solution, as a search would hold them, with the observations."""
        steps = write_steps(self, ((0,) * len(self.left), (0,) * len(self.right)))
        assert steps is not None
        return steps


def equation(index: int, seed: int, split: Literal["train", "held_out"], level: int) -> Equation:
    """Return an equation of an endless list.

    Args:
        index: Place in the list, >= 0.
        seed: Seed of the list.
        split: Split of the equation.
        level: Level of the equation, from `LEVELS`.
    """
    rng = random.Random(f"equations/{split}/{level}/{seed}/{index}")
    return make_equation(rng, level, split, f"equations:{split}:{level}:{seed}:{index}")


def make_equation(
    rng: random.Random, level: int, split: Literal["train", "held_out"], name: str
) -> Equation:
    """Return a random equation of a split.

    Args:
        rng: Source of the equation.
        level: Level of the equation, from `LEVELS`.
        split: Split of the equation.
        name: Id of the equation.
    """
    while True:
        terms = [_term(rng, tier) for tier in _tiers(rng, level)]
        cut = rng.randint(1, len(terms))
        left, right = terms[:cut], terms[cut:]
        # Not 0, which Python prints as 0.0 or as -0.0.
        solution = rng.choice((1, -1)) * rng.randint(1, _MAX_SOLUTION)
        missing = _value(left, solution) - _value(right, solution)
        if not 1 < abs(missing) <= MAX_CONSTANT or _slope(left) == _slope(right):
            continue
        # The last constant makes the solution an integer.
        right.append(Term(_constant("+" if missing > 0 else "-"), (abs(missing),)))
        made = Equation(name, tuple(left), tuple(right), rng.choice(WORDINGS), solution)
        if made.home == split:
            return made


def write_steps(problem: Equation, readings: Readings, flips: str = "") -> tuple[str, ...] | None:
    """Return the node texts of a solution that reads the terms in some way.

    Args:
        problem: The equation.
        readings: Reading of every term.
        flips: Mistakes in solving: "c" takes the constants in the wrong order, and "x" adds the
            coefficients. "" for none.

    Returns:
        The texts, and None where the reading divides by zero.
    """
    codes, found = [], []
    for name, terms, numbers in zip(
        ("left", "right"), (problem.left, problem.right), readings, strict=True
    ):
        read = [term.reading(number) for term, number in zip(terms, numbers, strict=True)]
        sums = joined([r.coefficient for r in read]), joined([r.constant for r in read])
        codes.append(f"# {name}\nprint({sums[0]}, {sums[1]})")
        found.append((int(eval(sums[0])), int(eval(sums[1]))))
    (slope, constant), (other_slope, other_constant) = found
    first, second = (constant, other_constant) if "c" in flips else (other_constant, constant)
    codes.append(
        f"print(({first} - {second}) / ({slope} {'+' if 'x' in flips else '-'} {other_slope}))"
    )
    try:
        value = str(eval(codes[-1].removeprefix("print")))
    except ZeroDivisionError:
        return None
    x = value.partition(".")[0]
    left, right = problem.sides
    codes.append(f"x = {x}\nprint({left}, {right})")
    printed = [f"{a} {b}" for a, b in found]
    printed += [value, f"{eval(left, {'x': int(x)})} {eval(right, {'x': int(x)})}"]
    texts = [
        f"{CODE}\n{code}\n{END_OF_CODE}{observation_suffix(shown)}"
        for code, shown in zip(codes, printed, strict=True)
    ]
    texts.append(f"{ANSWER}The answer is \\boxed{{{x}}}.{END_OF_ANSWER}")
    return (texts[0], *(f"\n{text}" for text in texts[1:]))


def _tiers(rng: random.Random, level: int) -> list[int]:
    """Return the tiers of the terms: one or two of the level's own, the others of lower ones."""
    count = rng.randint(_MIN_TERMS, _MAX_TERMS)
    if level == 0:
        return [0] * count
    tiers = [level] * rng.randint(1, 2)
    while len(tiers) < count:
        tiers.append(rng.randrange(level) if rng.random() < _PLAINER_SHARE else level - 1)
    rng.shuffle(tiers)
    return tiers


def _term(rng: random.Random, tier: int) -> Term:
    shape = rng.choice([shape for shape in SHAPES if shape.tier == tier])
    return Term(shape, tuple(rng.randint(*_NUMBERS) for _ in shape.letters))


def _constant(sign: str) -> Shape:
    return next(shape for shape in SHAPES if shape.text == f"{sign} a")


def _slope(terms: Sequence[Term]) -> int:
    return sum(term.coefficient for term in terms)


def _value(terms: Sequence[Term], x: int) -> int:
    return sum(term.coefficient * x + term.constant for term in terms)
