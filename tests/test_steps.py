"""The solution grammar, and the keys of random draws."""

import pytest

from rstar_fast.seeding import draw_key, stream
from rstar_fast.steps import closes_code, ends_answer, final_answer, has_final_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"<answer>So $\boxed{12}$.<end_of_answer>", "12"),
        (r"\boxed{\frac{1}{2}} and \boxed{\frac{3}{\sqrt{4}}}", r"\frac{3}{\sqrt{4}}"),
        (r"\boxed{ 7 }", "7"),
        (r"\boxed 7 apples", "7"),
        (r"\boxed{never closed", ""),
        (r"\boxed{}", ""),
        (r"\boxed", ""),
        (r"\boxed{é}<end_of_answer>", "é"),
        ("no answer", ""),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer
    assert has_final_answer(text) == ("boxed" in text)


def test_marks() -> None:
    assert closes_code("print(1)\n<end_of_code>") and not closes_code("x = 1<end_of_step>")
    assert ends_answer("<answer>1<end_of_answer>\n") and not ends_answer("<end_of_answer> and more")


def test_keys_differ_in_every_part_and_streams_repeat() -> None:
    keys = {
        draw_key(s, p, n, i)
        for s in (0, 1)
        for p in ("a", "b", "1")
        for n in (0, 1, 11)
        for i in (0, 1)
    }
    assert len(keys) == 2 * 3 * 3 * 2
    assert (stream(5).random(4) == stream(5).random(4)).all()


def test_keys_and_streams_are_the_same_on_every_machine() -> None:
    assert draw_key(0, "problem", 3, 7) == 0x930B5E34701C53B4B178579E7579DBA
    assert stream(draw_key(0, "problem", 3, 7)).random() == 0.6304409405758927
