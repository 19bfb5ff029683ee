"""The program of a code block: the code of its steps as one text.

Used in the main process and in the supervisor.
"""

import re
from collections.abc import Sequence

from rstar_fast.marks import CODE, END_OF_CODE, MARKS, unescape
from rstar_fast.marks.step_text import outer_marks, split_stop

_FENCE_WORD = re.compile(r"python\b")
_WORD_LINE = re.compile(r"python[ \t]*(?=\n)")

MAX_CHARS = 1 << 20
"""Largest number of characters of the steps of a program that is run."""


def source_of(steps: Sequence[str]) -> str:
    r"""Return the program of a code block, without marks and without an enclosing code fence.

    What stands in a string literal or a comment is no mark. Line 1 of the program is the line of
    `<code>` in the joined steps.

    >>> source_of(("Let us see. <code>\nx = 3\n<end_of_step>", "\nprint(x)\n<end_of_code>"))
    '\nx = 3\n\nprint(x)\n'
    >>> source_of(("<code>\nprint('<code>')\n<end_of_code>",))
    "\nprint('<code>')\n"
    """
    everything: list[str] = []
    code: list[str] = []
    has_code = in_code = False

    def add(text: str) -> None:
        everything.append(text)
        if in_code:
            code.append(text)

    for step in steps:
        body, stop = split_stop(step)
        position = 0
        for mark in outer_marks(body, MARKS, in_code):
            add(body[position : mark.start()])
            position = mark.end()
            if mark[0] == CODE and not in_code:
                if has_code:
                    code.append("\n")
                has_code = in_code = True
            elif mark[0] == END_OF_CODE:
                in_code = False
        add(body[position:])
        in_code = in_code and stop != END_OF_CODE
        # What is left is the space behind the stop mark.
        add(step[len(body) + len(stop) :])
    return _without_fence(unescape("".join(code if has_code else everything)))


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
