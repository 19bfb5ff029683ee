"""The program of a code block: the code of its steps as one text.

Used in the main process and in the supervisor.
"""

import re
from collections.abc import Sequence

from rstar_fast.steps import CODE, END_OF_CODE, MARKS

_BLOCK = re.compile(f"{re.escape(CODE)}(.*?)(?:{re.escape(END_OF_CODE)}|\\Z)", re.DOTALL)
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_FENCE_BEGIN = re.compile(r"\A(\s*)`+(?:python\b)?|\A(\s*)python[ \t]*(?=\n)")
_FENCE_END = re.compile(r"`+\s*\Z")


def source_of(steps: Sequence[str]) -> str:
    r"""Return the program of a code block, without marks and without an enclosing code fence.

    Line 1 of the program is the line of `<code>` in the joined steps.

    >>> source_of(("Let us see. <code>\nx = 3\n<end_of_step>", "\nprint(x)\n<end_of_code>"))
    '\nx = 3\n\nprint(x)\n'
    """
    text = "".join(steps)
    code = "\n".join(_BLOCK.findall(text)) if CODE in text else text
    code = _MARK.sub("", code)
    return _FENCE_END.sub("", _FENCE_BEGIN.sub(lambda match: match[1] or match[2] or "", code))


def continues(source: str, executed: str) -> bool:
    r"""Return whether a program begins with an executed one and goes on after it on a new line.

    >>> continues("x = 1\nprint(x)", "x = 1\n"), continues("x = 12", "x = 1")
    (True, False)
    """
    return source.startswith(executed) and (
        executed.endswith("\n") or source[len(executed) : len(executed) + 1] in ("", "\n")
    )
