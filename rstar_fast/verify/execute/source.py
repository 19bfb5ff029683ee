"""The program of a code block: the code of its steps as one text.

Used in the main process and in the supervisor.
"""

import re
from collections.abc import Sequence

from rstar_fast.marks import CODE, END_OF_CODE, MARKS, unescape
from rstar_fast.marks.step_text import outer_marks, split_stop

_FENCE_BEGIN = re.compile(r"\A(\s*)`+(?:python\b)?|\A(\s*)python[ \t]*(?=\n)")
_FENCE_END = re.compile(r"`+\s*\Z")


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
    text = unescape("".join(code if has_code else everything))
    return _FENCE_END.sub("", _FENCE_BEGIN.sub(lambda match: match[1] or match[2] or "", text))


def continues(source: str, executed: str) -> bool:
    r"""Return whether a program begins with an executed one and goes on after it on a new line.

    >>> continues("x = 1\nprint(x)", "x = 1\n"), continues("x = 12", "x = 1")
    (True, False)
    """
    return source.startswith(executed) and (
        executed.endswith("\n") or source[len(executed) : len(executed) + 1] in ("", "\n")
    )
