"""The program of a code block: the code of its steps as one text.

Used in the main process and in the supervisor.
"""

import re
from collections.abc import Sequence

from rstar_fast.steps import CODE, END_OF_CODE, MARKS

_BLOCK = re.compile(f"{re.escape(CODE)}(.*?)(?:{re.escape(END_OF_CODE)}|\\Z)", re.DOTALL)
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_FENCE_WORD = re.compile(r"python\b")
_WORD_LINE = re.compile(r"python[ \t]*(?=\n)")

MAX_CHARS = 1 << 20
"""Largest number of characters of the steps of a program that is run."""


def source_of(steps: Sequence[str]) -> str:
    r"""Return the program of a code block, without marks and without an enclosing code fence.

    Line 1 of the program is the line of `<code>` in the joined steps.

    >>> source_of(("Let us see. <code>\nx = 3\n<end_of_step>", "\nprint(x)\n<end_of_code>"))
    '\nx = 3\n\nprint(x)\n'
    """
    text = "".join(steps)
    code = "\n".join(_BLOCK.findall(text)) if CODE in text else text
    return _without_fence(_MARK.sub("", code))


def _without_fence(code: str) -> str:
    """Return code without the back-ticks and the word "python" around it.

    Not by expressions that begin with a repetition: they look at a long run of one character again
    from each place in it.
    """
    rest = code.lstrip()
    margin = code[: len(code) - len(rest)]
    inner = rest.lstrip("`")
    word = (_WORD_LINE if inner == rest else _FENCE_WORD).match(inner)
    code = margin + (inner[word.end() :] if word else inner)
    end = code.rstrip()
    return end.rstrip("`") if end.endswith("`") else code


def continues(source: str, executed: str) -> bool:
    r"""Return whether a program begins with an executed one and goes on after it on a new line.

    >>> continues("x = 1\nprint(x)", "x = 1\n"), continues("x = 12", "x = 1")
    (True, False)
    """
    return source.startswith(executed) and (
        executed.endswith("\n") or source[len(executed) : len(executed) + 1] in ("", "\n")
    )
