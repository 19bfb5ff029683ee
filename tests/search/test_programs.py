"""Steps that count as the same, and hostile texts that must cost little."""

import warnings

import pytest

from rstar_fast.search.programs import LONGEST, program_form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<code>\n# a\nx = 1\n<end_of_step>", "<code>x  =  1 # b\n<end_of_step>"),
        ("\nx = 'a'\n<end_of_step>", '\nx = "a"<end_of_step>'),
        ("\nx = (1 +\n 2)<end_of_code>", "\n\nx = 1 + 2<end_of_code>"),
        ("\n# only words\n<end_of_step>", "\n# other words\n<end_of_step>"),
    ],
)
def test_layout_and_comments_do_not_count(one: str, other: str) -> None:
    assert program_form(one, in_code=True) == program_form(other, in_code=True)


@pytest.mark.parametrize(
    ("one", "other", "in_code"),
    [
        ("\nx = 1<end_of_step>", "\nx = 1<end_of_code>", True),
        ("\nx = 1<end_of_step>", "<code>\nx = 1<end_of_step>", True),
        ("\nx = 1<end_of_step>", "\nx = 1.0<end_of_step>", True),
        ("\nx = 'a # b'<end_of_step>", "\nx = 'a'<end_of_step>", True),
        ("\nx = (1<end_of_step>", "\nx = (1 # a<end_of_step>", True),
        ("<answer>x<end_of_answer>", "<answer> x<end_of_answer>", True),
        ("x # 1", "x # 2", False),
    ],
)
def test_everything_else_does(one: str, other: str, in_code: bool) -> None:
    assert program_form(one, in_code) != program_form(other, in_code)


@pytest.mark.parametrize(
    "program",
    [
        "(" * 9_000,
        "-" * 19_000 + "1",
        "a" + ".b" * 9_000,
        "1" + "+1" * 9_000,
        "lambda:" * 2_500 + "1",
        "x = " + "9" * 19_000,
        "x = '\0'",
        "x = '\ud800'",
        "if x:\n" + "".join(" " * i + "if x:\n" for i in range(1, 180)),
        "y" * (10 * LONGEST),
        "f'{" * 3_000,
    ],
)
def test_hostile_steps_are_known_by_their_text(program: str) -> None:
    step = f"\n{program}<end_of_step>"
    assert program_form(step, in_code=True) == program_form(step, in_code=True)


def test_strange_escapes_warn_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program_form("\nx = '\\d'<end_of_step>", in_code=True)
