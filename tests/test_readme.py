"""The README's example works as printed."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_search_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = examples()[0]

    def my_engine(question: str, solution: str, n: int) -> list[str]:
        assert question == "What is 6 * 7?"
        if "<output>42<end_of_output>" in solution:
            return [r"\n<answer>It is $\boxed{42}$.<end_of_answer>"] * n
        return ["<code>\nprint(6 * 7)\n<end_of_code>"] * n

    exec(compile(example, str(README), "exec"), {"my_engine": my_engine})
    first, _, solution = capsys.readouterr().out.partition("\n")
    assert first == "True 42 <code>"
    assert "<output>42<end_of_output>" in solution


def test_the_executor_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _, example = examples()
    # Whether the machine can isolate is not the question here.
    exec(compile(example.replace("require_isolation=True", ""), str(README), "exec"), {})
    assert capsys.readouterr().out == "42\n[-2, 2]\n"
