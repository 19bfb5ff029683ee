"""Arithmetic that is computed without a process has the observations that Python gives."""

import random
from concurrent.futures import Future

import pytest
from interpreter import restored_interpreter as restored_interpreter

from rstar_fast.verify import ArithmeticRunner, Observation, Status
from rstar_fast.verify.execute.arithmetic import compute
from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.child.program import Program


def by_python(source: str) -> str | None:
    """Return the observation, or None where Python raises."""
    try:
        return Program("stdout", Capture(1 << 20)).extend(source)
    except Exception:
        return None


ARITHMETIC = (
    "",
    "# nothing\n",
    "n = 48\n# more\nn = n + 5 * 3\nprint(n)\n",
    "n = 48\nn",
    "n = 48\nn\n# a comment shows nothing new\n",
    "n = 7\nn //= 2\nn -= 1\nn *= -3\nn /= 4\nprint(n)",
    "x1 = 10 / 4\nx_2 = 7 % -3\nprint(x1, x_2, (x1 + x_2) * 2)  # all",
    "print(1 / 3)",
    "print(1 / 3, 2 / 3)",
    "print(2.50)\nprint()",
    "a = 3\nprint(-a // 2, -(a // 2))",
    "sum = 4\nprint(sum)",
    "print(0.1 + 0.2)",
    "(3 +\n4)",
    "n = 5\n\n\n   \nprint(n)   \n",
    "# été: \N{MULTIPLICATION SIGN}\nprint(6 * 7)",
    "\n".join(["print(123456789012345678)"] * 80),
)
OTHERS = (
    "print(undefined)",
    "n = 5\nn = n / 0",
    "n = 5\n  n = 6",
    "import os",
    "print('text')",
    "print(n := 5)",
    "n = 5\nn.real",
    "x = y = 5\nprint(x)",
    "x, y = 5, 6\nprint(x)",
    "print(2 ** 8)",
    "print(True)",
    "print = 5",
    "__name__",
    "print(print(5))",
    "print(5, sep=0)",
    "007",
    "1 if 2 else 3",
    "5and 6",
    "1_000",
    "n = 5\rprint(n)",
    "print(5)\0",
    "print(5) # \ud800",
    "n = 9\n" + "n = n * n\n" * 30 + "n = n % 7\nprint(n)",
    "-" * 3000 + "5",
    "(" * 150 + "5" + ")" * 150,
    "\n".join(["(-"] * 1000),
    "# \n" * 2000,
    "if = 3",
    "a" * 199 + "!",
    "the number of apples that are left in the basket of the oldest child is what we want to know:",
    "n = " + "1 + " * 40 + "x!",
    "print(\N{ARABIC-INDIC DIGIT FIVE})",
    "print(" + "1" * 30 + ")",
)


@pytest.mark.parametrize("source", ARITHMETIC)
def test_arithmetic_is_computed_as_python_does(source: str) -> None:
    assert compute(source) is not None
    assert compute(source) == by_python(source)


@pytest.mark.parametrize("source", OTHERS)
def test_anything_else_is_left_alone(source: str) -> None:
    assert compute(source) is None


def test_random_programs_agree_with_python() -> None:
    rng = random.Random(0)
    computed = 0
    for _ in range(6000):
        source = "\n".join(random_line(rng) for _ in range(rng.randint(1, 6)))
        mine = compute(source)
        if mine is not None:
            computed += 1
            assert mine == by_python(source), source
    assert computed > 800


def random_line(rng: random.Random) -> str:
    def expression(depth: int) -> str:
        kind = rng.random()
        if not depth or kind < 0.3:
            return rng.choice(
                ["n", "m", str(rng.randint(0, 99)), f"{rng.random():.3f}", "0", "9" * 18]
            )
        if kind < 0.4:
            return f"-{expression(depth - 1)}"
        left, right = expression(depth - 1), expression(depth - 1)
        return f"({left} {rng.choice('+-*/%')}{rng.choice(['', '', '/'])} {right})"

    form = rng.choice(
        ["n = {}", "m = {}", "n += {}", "print({})", "print({}, n)", "{}", "# {}", "m = {}  # note"]
    )
    return "n = 3\nm = 4\n" * (rng.random() < 0.5) + form.format(expression(3))


class Counting:
    """A runner that records the programs that come to it."""

    def __init__(self) -> None:
        self.programs: list[tuple[str, ...]] = []
        self.closed = False

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        self.programs.append(steps)
        future: Future[Observation] = Future()
        future.set_result(Observation(Status.ERROR, "elsewhere"))
        return future

    def close(self) -> None:
        self.closed = True


def test_only_other_programs_reach_the_other_runner() -> None:
    others = Counting()
    runner = ArithmeticRunner(others)
    plain = ("<code>\n# start\nn = 6\n<end_of_step>", "\nprint(n * 7)\n<end_of_code>")
    assert runner.submit(plain).result().text == "42"
    assert runner.submit(("<code>\nimport os\n<end_of_step>",)).result().text == "elsewhere"
    assert (
        runner.submit((plain[0], "\nprint(n / 0)\n<end_of_code>")).result().status is Status.ERROR
    )
    assert len(others.programs) == 2
    runner.close()
    assert others.closed
