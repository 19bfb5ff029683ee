"""The README's example works as printed, also where a problem fails or has no answer."""

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"
STEPS = "<code>\nprint(6 * 7)\n<end_of_code>", r"\n<answer>It is $\boxed{42}$.<end_of_answer>"


def run_example(my_engine: Any, capsys: pytest.CaptureFixture[str]) -> str:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(README), "exec"), {"my_engine": my_engine})
    return capsys.readouterr().out


def test_the_example_solves_its_problem(capsys: pytest.CaptureFixture[str]) -> None:
    def engine(text: str, n: int) -> list[str]:
        assert text.startswith("<|user|>:\nWhat is 6 * 7?\n")
        return [STEPS["<output>42<end_of_output>" in text]] * n

    assert run_example(engine, capsys) == "p1 True 42\n"


def test_the_example_tells_of_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def engine(text: str, n: int) -> list[str]:
        raise LookupError("no such model")

    out = run_example(engine, capsys)
    assert out.startswith("p1 PolicyError the policy failed twice: LookupError: no such model")


def test_the_example_tells_of_a_problem_without_an_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_example(lambda text, n: [""] * n, capsys) == "p1 False no answer\n"
