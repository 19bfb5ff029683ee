"""Observations of programs in both styles, run in the test's own process."""

import ast
import os
import re
from typing import Any, Literal

import pytest
from golden import golden_lines
from interpreter import restored_interpreter as restored_interpreter

from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.child.program import Program
from rstar_fast.verify.execute.observation_text import describe
from rstar_fast.verify.execute.print_nodes import SourceLines
from rstar_fast.verify.execute.source import source_of


def observe(program: str, style: Literal["stdout", "reference"]) -> str:
    running = Program(style, Capture(1 << 20))
    try:
        return running.extend(source_of((program,)))
    except BaseException as error:
        return running.failure(error)


BOTH = {
    "": "",
    "# only a comment": "",
    "x = 3": "",
    "3 + 4": "7",
    "None": "",
    "print(2.5)": "2.5",
    "print(7)": "7",
    "print(1/3, 2/3)": "0.3333333333333333 0.6666666666666666",
    "1/3": "0.3333333333333333",
    "print(1e400)": "inf",
    "print(None)": "None",
    "print()": "",
    "'  padded  '": "padded",
    "'a' * 1024": "a" * 1024,
    "'a' * 1025": "a" * 512 + "..." + "a" * 512,
    "print('a' * 1024)": "a" * 512 + "..." + "a" * 511,
    "raise ValueError('b' * 2000)": "ValueError: " + "b" * 500 + "..." + "b" * 512,
    "raise KeyError('k')": "KeyError: 'k'",
    "raise ValueError": "ValueError:",
    "import sys\nsys.exit('bye')": "SystemExit: bye",
    "if True:\n    print('yes')\nelse:\n    print('no')": "yes",
    "try:\n    print(1 / 0)\nexcept ZeroDivisionError:\n    print('inf')": "inf",
    "from __future__ import annotations\ndef f(x: undefined): return x\nf(3)": "3",
    "class A:\n    def __str__(self): return 1\nA()": (
        "TypeError: __str__ returned non-string (type int)"
    ),
    "<code>\nx = [1,2\nprint(x)\n<end_of_code>": (
        "SyntaxError: '[' was never closed (<unknown>, line 2)"
    ),
    "Text before. <code>\nprint(5)\n<end_of_code> and behind": "5",
    "```python\nprint(6)\n```": "6",
    "<code>\n```python\nprint(6)\n```\n<end_of_code>": "6",
    "python_like = 8\npython_like": "8",
    "<code>\nx = 1<end_of_step>\nprint(x)<end_of_code>": "1",
}


@pytest.mark.parametrize("program", BOTH)
@pytest.mark.parametrize("style", ["stdout", "reference"])
def test_both_styles(program: str, style: Literal["stdout", "reference"]) -> None:
    assert observe(program, style) == BOTH[program]


DIFFERENT = {
    "print(1)\nprint(2)": ("1\n2", "1: 1\n2: 2"),
    "a = 3\nprint('a =', a)\nprint(a+1)": ("a = 3\n4", "'a =', a: a = 3\na+1: 4"),
    "print(1)\nprint(2)\nx = 1 / 0": ("1\n2\nZeroDivisionError: division by zero", "1: 1\n2: 2"),
    "print(1)\nx = 2\nx": ("1", "2"),
    "print(1)\nx = 2": ("1", ""),
    "import sys\nsys.stdout.write('hello')": ("hello", "5"),
    "with open('/dev/null') as f:\n    print(1)\nprint(2)": ("1\n2", "2"),
    "for i in range(2):\n    print(i)\nprint('end')": ("0\n1\nend", "i: 0\n1\n'end': end"),
    "def f(n):\n    print(n)\n    return n\nf(3)": ("3", "3"),
    # Only the number of a print node is rounded, and only in the "reference" style.
    "print(1/3)": ("0.3333333333333333", "0.3333"),
    "print('3.14159265')": ("3.14159265", "3.1416"),
    "print(-0.00001)": ("-1e-05", "-0.0"),
    "print(2**100)": ("1267650600228229401496703205376", "1.2676506002282294e+30"),
    "print(1/2**20)": ("9.5367431640625e-07", "0.0"),
    "print('0000000625')": ("0000000625", "625.0"),
    "print('+.5')": ("+.5", "0.5"),
    "print('1_000.123456')": ("1_000.123456", "1000.1235"),
    "print('NaN')": ("NaN", "nan"),
    "print('  5  ')": ("5", "5.0"),
    "print(-0.0)": ("-0.0", "-0.0"),
    "print(1/3, end='')": ("0.3333333333333333", "0.3333"),
    "print(1/3)\nprint(2/3)": (
        "0.3333333333333333\n0.6666666666666666",
        "1/3: 0.3333\n2/3: 0.6667",
    ),
    "from decimal import Decimal\nprint(Decimal('3.14159265358979323846'))": (
        "3.14159265358979323846",
        "3.1416",
    ),
    "from sympy import N, pi\nprint(N(pi, 30))": ("3.14159265358979323846264338328", "3.1416"),
    "'12.34567'": ("12.34567", "12.3457"),
    "'1.25'": ("1.25", "1.25"),
    # Segments are joined as they were printed.
    "def f(n):\n    print(n)\nf(1)\nprint('done')": ("1\ndone", "n: 'done': done"),
    "def f(n):\n    print(n)\nf(1)\nprint(f(2))": ("1\n2\nNone", "n: f(2: 2\nNone"),
    "print(1, end='')\nprint(2)": ("12", "1, end='': 12: 2"),
    "print(1, end=' ')\nprint(2)": ("1 2", "1, end=' ': 1 2: 2"),
    "print(0.123456, end='')\nprint(2)": ("0.1234562", "0.123456, end='': 0.1235\n2: 2"),
    "if 1:\n    print(1)\n    print(2)\nprint(3)": ("1\n2\n3", "1 2: 1\n2\n3: 3"),
    "print(\n    1\n)\nprint(2)": ("1\n2", "1\n2: 2"),
    "print = str\nprint(1)\nprint(2)": ("2", "1: 12: 2"),
    # A failure comes after what was printed, or instead of it.
    "print(1)\n1/0": (
        "1\nZeroDivisionError: division by zero",
        "ZeroDivisionError: division by zero",
    ),
    "print(1, end='')\n1/0": (
        "1\nZeroDivisionError: division by zero",
        "ZeroDivisionError: division by zero",
    ),
    "print()\n1/0": (
        "ZeroDivisionError: division by zero",
        "ZeroDivisionError: division by zero",
    ),
    "print('a' * 2000)\n1/0": (
        "a" * 512 + "..." + "a" * 476 + "\nZeroDivisionError: division by zero",
        "ZeroDivisionError: division by zero",
    ),
    "print('a' * 2000)\nraise ValueError('b' * 2000)": (
        "a" * 512 + "...\nValueError: " + "b" * 242 + "..." + "b" * 254,
        "ValueError: " + "b" * 500 + "..." + "b" * 512,
    ),
    "print('a')\nreturn": (
        "a\nSyntaxError: 'return' outside function (<unknown>, line 2)",
        "SyntaxError: 'return' outside function (<unknown>, line 2)",
    ),
    "print('a')\ndef f(:": (
        "SyntaxError: invalid syntax (<unknown>, line 2)",
        "SyntaxError: invalid syntax (<unknown>, line 2)",
    ),
    "import sys\nprint(1)\nsys.exit('bye')": ("1\nSystemExit: bye", "SystemExit: bye"),
}


@pytest.mark.parametrize("program", DIFFERENT)
def test_styles_differ(program: str) -> None:
    assert (observe(program, "stdout"), observe(program, "reference")) == DIFFERENT[program]


@pytest.mark.parametrize("style", ["stdout", "reference"])
def test_a_step_that_does_not_parse_hides_what_was_printed(
    style: Literal["stdout", "reference"],
) -> None:
    program = Program(style, Capture(1 << 20))
    program.extend("print('a')\n")
    with pytest.raises(SyntaxError) as raised:
        program.extend("def f(:\n")
    assert program.failure(raised.value) == "SyntaxError: invalid syntax (<unknown>, line 2)"


SEGMENT_SOURCES = (
    "print(1)\r\nprint(2, 'é')\rprint(3)\n",
    "x = 'ä'; print(x); print('\u20ac', x)  # tail\n\fprint(2)",
    "def f():\n    print(1)\n    '''a\n\x0b b'''\nif 1:\n  print('''c\n\x1c d''')",
)


@pytest.mark.parametrize("source", SEGMENT_SOURCES)
def test_texts_of_statements_are_those_of_ast(source: str) -> None:
    lines = SourceLines(source)
    for statement in ast.parse(source).body:
        assert lines.text_of(statement) == ast.get_source_segment(source, statement)


def test_steps_are_joined_as_they_are() -> None:
    steps = ("<code>\n# Step 1\nx = 3\n<end_of_step>", "\n\n# Step 2\nprint(x)\n<end_of_code>")
    assert source_of(steps) == "\n# Step 1\nx = 3\n\n\n# Step 2\nprint(x)\n"


MARKS_IN_PROGRAMS = {
    "<code>\nprint('''<end_of_code>\n''', 5)\n<end_of_code>": "<end_of_code>\n 5",
    "<code>\n# in <code> and <end_of_code>\nprint(5)\n<end_of_code>": "5",
    "print('<code>', \"it's <output>\")": "<code> it's <output>",
    "Let's see: <code>\nprint('don\\'t <code>')\n<end_of_code> and '": "don't <code>",
    "<code>\nimport re\nprint(re.findall('<code>(.*?)</code>', '<code>a</code>'))": "['a']",
    "# a heading with <code>\nprint(5)": "5",
    "<code>\nprint('<\\code>', r'<\\\\code>')\n<end_of_code>": "<code> <\\code>",
    "<code>\nx = 1\n<end_of_code>\nSo far.\n<code>\nprint(x)<end_of_code>": "1",
}


@pytest.mark.parametrize("program", MARKS_IN_PROGRAMS)
def test_literals_and_comments_hold_no_marks(program: str) -> None:
    assert observe(program, "stdout") == MARKS_IN_PROGRAMS[program]


PROGRAMS = [case for case in golden_lines("step_cases.jsonl") if case["kind"] == "program"]


@pytest.mark.parametrize("case", PROGRAMS, ids=lambda case: case["class"])
def test_recorded_programs(case: dict[str, Any]) -> None:
    (program,) = case["steps"]
    assert re.search(case["expected"], observe(program, "stdout"))


def test_an_unprintable_error_is_described() -> None:
    class Shy(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert describe(Shy()) == "Shy: <unprintable: KeyboardInterrupt>"
    assert describe(type("OwnMemoryError", (MemoryError,), {})("no room")) == "MemoryError: no room"


@pytest.mark.parametrize("piece", [1, 7, 100, 4096, 100_000])
def test_capture_keeps_beginning_and_end(piece: int) -> None:
    text = "".join(f"{i:07d}," for i in range(12_500))
    capture = Capture(4096)
    for i in range(0, len(text), piece):
        assert capture.write(text[i : i + piece]) == len(text[i : i + piece])
    assert capture.take() == text[:2048] + text[-2048:]
    assert capture.take() == ""


@pytest.mark.parametrize("piece", [1, 7, 100, 5000])
def test_capture_copies_the_first_bytes_whoever_reads_them(piece: int) -> None:
    text = "aé\u20ac" * 900
    capture = Capture(2048, copied_bytes=1000)
    for i in range(0, len(text), piece):
        # As in a clone of a snapshot, each piece has a pipe of its own.
        reader, writer = os.pipe()
        capture.copy_to(writer)
        capture.write(text[i : i + piece])
        capture.copy_to(-1)
        os.close(writer)
        with open(reader, "rb") as pipe:
            assert pipe.read() == text[: i + piece].encode()[:1000]


@pytest.mark.parametrize("length", [0, 1, 2048, 2049, 4095, 4096])
def test_capture_keeps_all_up_to_its_limit(length: int) -> None:
    text = "".join(chr(97 + i % 26) for i in range(length))
    capture = Capture(4096)
    for character in text:
        capture.write(character)
    assert capture.take() == text
