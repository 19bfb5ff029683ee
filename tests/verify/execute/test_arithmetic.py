"""Arithmetic that is computed without a process has the observations that Python gives."""

import random
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import restored_interpreter as restored_interpreter

from rstar_fast.config import ObservationStyle
from rstar_fast.verify import ArithmeticRunner, Executor, Observation, Status
from rstar_fast.verify.execute.arithmetic import compute
from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.child.program import Program


def by_python(source: str, style: ObservationStyle) -> str | None:
    """Return the observation, or None where Python raises."""
    try:
        return Program(style, Capture(1 << 20)).extend(source)
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
    "n = 0.0\nprint(-n)\n-n",
    "n = 99999999999.5\n" + "n *= n\n" * 6 + "print(n, -n, n - n)",
    "print(100000.123456)\nprint(5)",
    "print(2)\nprint(3)\nn = 4",
    "print(0.000012345)",
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


STYLES: tuple[ObservationStyle, ...] = ("stdout", "reference")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("source", ARITHMETIC)
def test_arithmetic_is_computed_as_python_does(source: str, style: ObservationStyle) -> None:
    assert compute(source, style) is not None
    assert compute(source, style) == by_python(source, style)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("source", OTHERS)
def test_anything_else_is_left_alone(source: str, style: ObservationStyle) -> None:
    assert compute(source, style) is None


def test_comments_between_the_lines_of_a_print_are_shown_in_the_reference_style() -> None:
    source = "print(1)\nprint(2, # (print(3)\n4)"
    assert compute(source, "stdout") == by_python(source, "stdout") == "1\n2 4"
    assert compute(source, "reference") is None


def test_what_is_behind_the_last_print_counts_in_the_stdout_style_only() -> None:
    source = "print(1)\nprint(2)\nn = 5 / 0"
    assert compute(source, "stdout") is None
    assert compute(source, "reference") == by_python(source, "reference") == "1: 1\n2: 2"


EXPRESSIONS = st.recursive(
    st.sampled_from(["n", "m"])
    | st.integers(0, 99).map(str)
    | st.sampled_from(["9" * 18, "0", "0.0", "-0.0", "9" * 40 + ".5"])
    | st.floats(0, 1000).map(lambda number: f"{number:.6f}"),
    lambda inner: (
        inner.map("-{}".format)
        | st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
            lambda parts: "({} {} {})".format(*parts)
        )
    ),
    max_leaves=6,
)
LINES = st.tuples(
    st.sampled_from(
        [
            "n = {}",
            "m = {}",
            "n += {}",
            "m *= {}",
            "print({})",
            "print({}, n)",
            "print(n,\n{})",
            "print()",
            "{}",
            "# {}",
            "m = {}  # print({})",
            "print({})  # ü",
        ]
    ),
    EXPRESSIONS,
).map(lambda parts: parts[0].replace("{}", parts[1]))
PROGRAMS = st.lists(LINES, max_size=6).map(lambda lines: "\n".join(["n = 3", "m = 4", *lines]))


@settings(max_examples=500, deadline=None)
@given(PROGRAMS, st.sampled_from(STYLES))
def test_random_programs_agree_with_python(source: str, style: ObservationStyle) -> None:
    mine = compute(source, style)
    if mine is not None:
        assert mine == by_python(source, style)


@pytest.mark.parametrize("style", STYLES)
def test_most_random_programs_are_computed(style: ObservationStyle) -> None:
    sources = [random_program(random.Random(i)) for i in range(1000)]
    computed = [(source, mine) for source in sources if (mine := compute(source, style))]
    assert len(computed) > 400
    assert all(mine == by_python(source, style) for source, mine in computed)


def random_program(rng: random.Random) -> str:
    operators = ("+", "-", "*", "/", "//", "%")
    lines = ["n = 3", "m = 4"]
    for _ in range(rng.randint(1, 6)):
        number = rng.choice([str(rng.randint(0, 99)), f"{rng.random():.7f}", "m", "9" * 18])
        form = rng.choice(["n = {}", "m = {}", "print({})", "print({}, n)", "{}"])
        lines.append(form.format(f"n {rng.choice(operators)} {number}"))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[ObservationStyle, Executor]]:
    running = {style: Executor(workers=1, preload=("math",), style=style) for style in STYLES}
    yield running
    for executor in running.values():
        executor.close()


@pytest.mark.parametrize("style", STYLES)
def test_programs_agree_with_the_executor(
    executors: dict[ObservationStyle, Executor], style: ObservationStyle
) -> None:
    sources = [*ARITHMETIC, *(random_program(random.Random(i)) for i in range(150))]
    computed = [(source, mine) for source in sources if (mine := compute(source, style))]
    assert len(computed) > 70
    observations = executors[style].run_many([source] for source, _ in computed)
    assert [(one.text, one.status) for one in observations] == [
        (mine, Status.OK) for _, mine in computed
    ]


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
