"""Tests of the keys of programs."""

import subprocess
import sys
import time

import pytest

from rstar_fast.programs import MAX_CHARS, program_key

STEP = "\n# Step 1: Add\nx = 1 + 2\nprint(x)\n<end_of_step>"


@pytest.mark.parametrize(
    "same",
    [
        STEP,
        "x = 1 + 2\nprint(x)<end_of_step>",
        "\n# Another comment\nx = 1 + 2  # three\n\n\nprint( x )\n<end_of_step>\n",
        "x = (1+2); print(x)\n<end_of_step>",
        "\r\nx = 1 + 2\r\nprint(x)\r\n<end_of_step>",
    ],
)
def test_comments_and_white_space_do_not_count(same: str) -> None:
    assert program_key(same) == program_key(STEP)


@pytest.mark.parametrize(
    "other",
    [
        STEP.replace("1 + 2", "2 + 1"),
        STEP.replace("print(x)", ""),
        STEP.replace("<end_of_step>", "<end_of_code>"),
        STEP.replace("<end_of_step>", ""),
        "<code>" + STEP,
        STEP.replace("x = 1", "  x = 1"),
        STEP.replace("1 + 2", "'1 + 2'"),
    ],
)
def test_whatever_changes_the_program_counts(other: str) -> None:
    assert program_key(other) != program_key(STEP)


def test_a_step_that_opens_the_block_is_parsed_behind_its_mark() -> None:
    first = "<code>\n# Step 1: Count\nx = 3\n<end_of_step>"
    assert program_key(first) == program_key("\n<code>\n# Step 1: Other words\nx=3\n<end_of_step>")


def test_text_that_is_no_program_counts_as_text() -> None:
    answers = [rf"\n<answer>It is $\boxed{{{value}}}$.<end_of_answer>" for value in (3, 4)]
    thoughts = ["\n# First we add\n<end_of_step>", "\n# First we multiply\n<end_of_step>"]
    broken = ["x = (1 # a\n<end_of_step>", "x = (1 # b\n<end_of_step>"]
    texts = [*answers, *thoughts, *broken, "", "prose, and more"]
    assert len({program_key(text) for text in texts}) == len(texts)
    assert program_key(answers[0]) == program_key(answers[0] + "\n")


def test_no_text_is_a_key_of_a_tree() -> None:
    assert program_key("Module(body=[Pass()], type_ignores=[])") != program_key("pass")


HOSTILE = {
    "null bytes": "x = 1\0",
    "null bytes in a text": "tree\0\0\0Module",
    "surrogates": "x = '\ud800'",
    "deep brackets": "(" * 4000 + ")" * 4000,
    "deep operators": "-" * 8000 + "1",
    "a long sum": "1+" * 4000 + "1",
    "a long chain": "a." * 4000 + "a",
    "deep lambdas": "lambda:" * 1100 + "1",
    "deep conditions": "1 if x else " * 600 + "1",
    "deep blocks": "".join(" " * i + "if x:\n" for i in range(95)) + " " * 95 + "x",
    "brackets after brackets": "[(a, *{b: c for d in (e)}) for f in g], " * 200,
    "a long number": "9" * 8000,
    "a long hexadecimal number": "0x" + "f" * 8000,
    "a bad escape": r"'\N{foo'",
    "format strings": "f'{x!r:{y}}' " * 600,
    "a long name": "f" * 1_000_000,
    "many marks": "<end_of_step>" * 50_000,
    "many open quotes": "'" * 99_999,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_has_a_key_at_once(text: str) -> None:
    began = time.process_time()
    key, other = program_key(text), program_key(text + "!")
    assert len(key) == len(other) == 16 and key != other
    # Generous: a text takes milliseconds.
    assert time.process_time() - began < 20


def test_a_text_that_is_too_long_is_not_parsed() -> None:
    short, long = "x" * MAX_CHARS, "x" * (MAX_CHARS + 1)
    assert program_key(short + "\n#") != program_key(short)
    assert program_key(long) != program_key(f"({long})")


def test_strange_escapes_warn_nobody() -> None:
    code = r"""from rstar_fast.programs import program_key; program_key(r"x = '\d'")"""
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], check=True, capture_output=True, timeout=300
    )
    assert ran.stderr == b""
