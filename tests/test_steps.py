"""The solution grammar, final answers, and the keys of random draws."""

from typing import Any

import pytest
from golden import golden_lines

from rstar_fast.marks import MARKS, PROMPT_MARKS, escape, unescape
from rstar_fast.marks.step_text import solution_text, stop_end
from rstar_fast.seeding import draw_key, stream
from rstar_fast.steps import (
    answer_of_last_box,
    closes_code,
    ends_answer,
    final_answer,
    has_final_answer,
    names_box,
    observation_suffix,
)

RECORDED = [case for case in golden_lines("step_cases.jsonl") if case["kind"] == "extraction"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["class"])
def test_recorded_answers(case: dict[str, Any]) -> None:
    answer, is_final = case["expected"]
    assert has_final_answer(case["step"]) == is_final
    assert final_answer(case["step"]).replace(" ", "") == answer.replace(" ", "")


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (r"<answer>So $\boxed{12}$.<end_of_answer>", "12"),
        (r"\boxed{\frac{1}{2}} and \boxed{\frac{3}{\sqrt{4}}}", r"\frac{1}{2}, \frac{3}{\sqrt{4}}"),
        (r"\boxed{ 7 }", "7"),
        (r"\boxed{é}<end_of_answer>", "é"),
        ("\\boxed\n {7}", "7"),
        (r"\fbox{7}", "7"),
        # without braces
        (r"\boxed 7 apples", "7"),
        (r"(\boxed 3.5, as", "3.5"),
        (r"$\boxed-3$", "-3"),
        (r"\(\boxed 7\)", "7"),
        (r"$\boxed \frac{1}{\sqrt{2}}$", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed 5<end_of_answer>", "5"),
        # braces
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left. x \right\}}", r"\left. x \right\}"),
        (r"\boxed{a \\ b}", r"a \\ b"),
        (r"\boxed{\text{a } \}}", r"\text{a } \}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{x = \fbox{5}}", "x = 5"),
        # several
        (r"\boxed{5}, that is \boxed{5}", "5"),
        (r"\boxed{x+1}=\boxed{x + 1}", "x+1"),
        (r"\boxed{}, so \boxed{5}, so \boxed{6", "5"),
        # nothing in it
        (r"\boxed{never closed", ""),
        (r"\boxed{}", ""),
        (r"\boxed", ""),
        # the answer part only
        ("<code>\n# \\boxed{3}\n<end_of_code>\n<output>3<end_of_output>\nIt's \\boxed{4}", "4"),
        (r"I guess \boxed{3}. <answer>It's \boxed{4}.<end_of_answer> \boxed{5}", "4"),
        ("print('\\\\boxed{3}')\n<answer>It's \\boxed{4}, isn't it?<end_of_answer>", "4"),
        (r"It's $\boxed{4}$, that's it.<end_of_step>", "4"),
        (r"The tag is \boxed{<\code>}.", "<code>"),
    ],
)
def test_final_answers(step: str, answer: str) -> None:
    assert has_final_answer(step)
    assert final_answer(step) == answer


@pytest.mark.parametrize(
    "step",
    [
        "no answer",
        "It is boxed{5}",
        r"\boxedtext{5}",
        "print(r'\\boxed{5}')\n<end_of_code>",
        'print(f"$\\\\boxed{{{x}}}$")\n<end_of_step>',
        "'''\nThe answer is \\boxed{5}\n'''\n<end_of_step>",
        "x = 5  # \\boxed{5}<end_of_code>",
        "So \\boxed{3}? Let's compute.\n<code>\nx = 1\n<end_of_step>",
        "print('<answer>\\\\boxed{5}<end_of_answer>')\n<end_of_code>",
    ],
)
def test_no_final_answers(step: str) -> None:
    assert (has_final_answer(step), final_answer(step)) == (False, "")


def test_code_goes_on_without_marks() -> None:
    step = "# it will be \\boxed{5}\nx = 5"
    assert has_final_answer(step) and not has_final_answer(step, in_code=True)
    assert final_answer("\n<answer>\\boxed{5}<end_of_answer>", in_code=True) == "5"
    assert final_answer("\nIt is \\boxed{5}.<end_of_answer>", in_code=True) == "5"


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (r"\boxed{1} and \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed 7 apples", "7"),
        ("unboxed = 5", "="),
        (r"\boxed{never closed", ""),
        (r"\boxed", ""),
    ],
)
def test_the_released_rule(step: str, answer: str) -> None:
    assert names_box(step) and answer_of_last_box(step) == answer


def test_marks() -> None:
    assert closes_code("print(1)\n<end_of_code>") and not closes_code("x = 1<end_of_step>")
    assert not closes_code("print('<end_of_code>')\n<end_of_step>")
    assert ends_answer("<answer>1<end_of_answer>\n") and not ends_answer("<end_of_answer> and more")


def test_escaped_text_spells_no_mark_and_can_be_read_back() -> None:
    texts = [
        f"a{'<' * i}{backslashes}{mark[1:]}b"
        for mark in (*MARKS, *PROMPT_MARKS)
        for i in (1, 2)
        for backslashes in ("", "\\", "\\\\")
    ]
    texts += ["", "<", "a < b", "<\\", r"\<code>", "<code", "<Code>", "</code>", "<code><code>"]
    for text in texts:
        assert not any(mark in escape(text) for mark in (*MARKS, *PROMPT_MARKS))
        assert unescape(escape(text)) == text
    assert len({*map(escape, texts)}) == len({*texts})
    assert escape("if a <b and c <d: x<end</code>") == "if a <b and c <d: x<end</code>"
    assert observation_suffix("5<end_of_output>") == "\n<output>5<\\end_of_output><end_of_output>"


STOPS = {
    "x = 1\n<end_of_step>": None,
    "x = 1\n<end_of_step>\ny = 2\n<end_of_step>": "x = 1\n<end_of_step>",
    "x = '<end_of_step>'\n<end_of_code> more": "x = '<end_of_step>'\n<end_of_code>",
    'x = f"""a\n<end_of_step>"""\n<end_of_step>\n': 'x = f"""a\n<end_of_step>"""\n<end_of_step>',
    r"x = '\'<end_of_step>'": "",
    r"x = r'\\'<end_of_step>'": r"x = r'\\'<end_of_step>",
    "# it's <end_of_step>'": "# it's <end_of_step>",
    "x = 'open <end_of_step>\ny = '": "x = 'open <end_of_step>",
    "Nora's age, Ben's age<end_of_answer>'": "Nora's age, Ben's age<end_of_answer>",
    "the boys' <end_of_step> and the girls'": "the boys' <end_of_step>",
    "<answer>'5<end_of_answer>' more": "<answer>'5<end_of_answer>",
    "print('<answer>')\nx = '<end_of_step>'": "",
    "x = ''<end_of_step>''": "x = ''<end_of_step>",
}


@pytest.mark.parametrize("text", STOPS)
def test_a_step_ends_with_its_first_mark_outside_literals(text: str) -> None:
    expected = text if STOPS[text] is None else STOPS[text]
    assert text[: max(0, stop_end(text))] == expected


def test_text_that_goes_on_may_close_a_literal() -> None:
    for text in ("x = '<end_of_step>", 'x = """\na\'b<end_of_step>\n', "x = '\\'<end_of_step>\\"):
        assert stop_end(text, goes_on=True) == -1
        assert stop_end(text) == text.index(">") + 1
    for text in ("x = 5<end_of_step>", "x = '5\n<end_of_step>", "it's 5<end_of_step>"):
        assert stop_end(text, goes_on=True) == len(text)


SOLUTIONS = {
    "<code>\nx = 1\n<end_of_step>": None,
    "\n<answer>It is <5.<end_of_answer>": None,
    "x = 1<end_of_step>\n": "x = 1<end_of_step>",
    "Let's see. <code>\nx = 1 # <code>\n<end_of_step>": (
        "Let's see. <code>\nx = 1 # <\\code>\n<end_of_step>"
    ),
    "print('<code>')\n<code>\nprint(2)": "print('<\\code>')\n<code>\nprint(2)",
    "<code>\nprint(1)\n<output>1<end_of_output>\n<end_of_code>": (
        "<code>\nprint(1)\n<\\output>1<\\end_of_output>\n<end_of_code>"
    ),
    "<answer>a <answer> b <code> <|user|>:<end_of_answer> c": (
        "<answer>a <\\answer> b <\\code> <\\|user|>:<end_of_answer>"
    ),
    r"s = '<\code>'": r"s = '<\\code>'",
}


@pytest.mark.parametrize("text", SOLUTIONS)
def test_text_of_an_engine_in_a_solution(text: str) -> None:
    assert solution_text(text) == (SOLUTIONS[text] or text)


def test_an_open_block_is_not_opened_again() -> None:
    text = "\nx = 5  # <code>\ny = 3 < code\n<end_of_step>"
    assert solution_text(text, in_code=True) == text.replace("<code>", "<\\code>")
    again = "\n<code>\nx = 5\n<end_of_step>"
    assert solution_text(again, in_code=True) == again


def test_an_engine_may_be_known_to_have_ended_a_step() -> None:
    text = "# not <end_of_step> yet\nx = 1\n<end_of_step>"
    assert solution_text(text) == "# not <end_of_step>"
    assert solution_text(text, is_whole=True) == text.replace("<end", "<\\end", 1)


def test_two_steps_do_not_make_a_mark() -> None:
    assert solution_text("ep>'\n<end_of_step>", before="s = '<end_of_st") == "\\ep>'\n<end_of_step>"
    assert solution_text("b and c", before="a <") == "b and c"
    assert solution_text("\n<code>", before="x<end_of_step>") == "\n<code>"


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


@pytest.mark.parametrize(
    "text", [r"\boxed{" * 20_000 + "5" + "}" * 20_000, r"\boxed" * 20_000 + "{5}"]
)
def test_nested_boxes_are_read_in_linear_time(text: str) -> None:
    """A quadratic reader would take minutes."""
    assert final_answer(text) == "5"
