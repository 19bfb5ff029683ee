r"""The marks of solutions and prompts, and text that only spells one.

A mark in the text of a solution or a prompt is a mark. A question, an observation or a program's
string may spell one too. Such text is escaped: it gets a backslash behind the `<`, or one more
where some stand there already. So `<end_of_step>` becomes `<\end_of_step>`.
"""

import re
from collections.abc import Sequence

CODE = "<code>"
END_OF_STEP = "<end_of_step>"
END_OF_CODE = "<end_of_code>"
OUTPUT = "<output>"
END_OF_OUTPUT = "<end_of_output>"
ANSWER = "<answer>"
END_OF_ANSWER = "<end_of_answer>"

MARKS = (CODE, END_OF_STEP, END_OF_CODE, OUTPUT, END_OF_OUTPUT, ANSWER, END_OF_ANSWER)
STOP_MARKS = (END_OF_STEP, END_OF_CODE, END_OF_ANSWER)
"""Marks that end a candidate. It ends after the first of them."""
PROMPT_MARKS = ("<|user|>", "<|assistant|>")
"""Marks of the prompt of a fine-tuned policy."""

ALL_MARKS = (*MARKS, *PROMPT_MARKS)


def escaped(marks: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that finds the `<` and the first backslash of marks that are escaped."""
    return re.compile(rf"<\\(?=\\*(?:{_names(marks)}))")


def _names(marks: Sequence[str]) -> str:
    return "|".join(re.escape(mark[1:]) for mark in marks) or "(?!)"


_SPELT = re.compile(rf"<(?=\\*(?:{_names(ALL_MARKS)}))")
_ESCAPED = escaped(ALL_MARKS)


def spells_mark(text: str) -> bool:
    """Return whether a text spells a mark, with or without backslashes in it."""
    return "<" in text and _SPELT.search(text) is not None


def escape(text: str) -> str:
    r"""Return plain text as it stands in a solution or a prompt: no mark is spelt in it.

    >>> escape("a <b> and a <code>"), unescape(escape("<code>"))
    ('a <b> and a <\\code>', '<code>')
    """
    return _SPELT.sub(r"<\\", text)


def unescape(text: str) -> str:
    """Return what `escape` made of a text as the text was."""
    return _ESCAPED.sub("<", text) if "<\\" in text else text
