"""The program of an open block: its steps' code as one text."""

import re
from collections.abc import Sequence

from rstar_fast.steps import CODE, END_OF_CODE, MARKS

_BLOCK = re.compile(f"{re.escape(CODE)}(.*?)(?:{re.escape(END_OF_CODE)}|\\Z)", re.DOTALL)
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_FENCE_BEGIN = re.compile(r"\A(\s*)`+(?:python\b)?|\A(\s*)python[ \t]*(?=\n)")
_FENCE_END = re.compile(r"`+\s*\Z")


def source_of(steps: Sequence[str]) -> str:
    r"""The program of an open block: the code of its joined steps, marks and code fences removed.

    Line numbers are those of the joined text from the line of `<code>` on.

    >>> source_of(("Let us see. <code>\nx = 3\n<end_of_step>", "\nprint(x)\n<end_of_code>"))
    '\nx = 3\n\nprint(x)\n'
    """
    text = "".join(steps)
    code = "\n".join(_BLOCK.findall(text)) if CODE in text else text
    code = _MARK.sub("", code)
    return _FENCE_END.sub("", _FENCE_BEGIN.sub(lambda match: match[1] or match[2] or "", code))


def continues(source: str, executed: str) -> bool:
    r"""Whether a program begins with one that was executed already and goes on behind it on a line of its own.

    >>> continues("x = 1\nprint(x)", "x = 1\n"), continues("x = 12", "x = 1"), continues("x = 1\n", "y = 1\n")
    (True, False, False)
    """
    return source.startswith(executed) and (
        executed.endswith("\n") or source[len(executed) : len(executed) + 1] in ("", "\n")
    )
