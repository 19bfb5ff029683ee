r"""Steps as an engine writes them: where they end, and which marks in them are marks.

An engine writes text, in which a program may spell a mark in a string, as in `s = '<end_of_step>'`.
A mark is one if it stands outside the string literals of the code. Marks that begin something
(`<code>`, `<answer>`) stand outside its comments too.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from rstar_fast.marks import ANSWER, CODE, STOP_MARKS, escape, spells_mark
from rstar_fast.marks.python_text import COMMENT, COMMENT_LINE, LITERAL, OPEN_LITERAL

_OPENERS = (CODE, ANSWER)


def stop_end(
    text: str, stops: tuple[str, ...] = STOP_MARKS, goes_on: bool = False, start: int = 0
) -> int:
    r"""Return the index just past the first stop mark of a text, or -1 if there is none.

    Args:
        text: Text in which a step begins at `start`.
        stops: Marks that end a step.
        goes_on: Whether more text may follow. A mark in a literal that is still open then counts as
            none, as the literal may be closed. Without more text the mark ended the step.
        start: Index at which the step begins.

    >>> stop_end("x = 1<end_of_step>\n"), stop_end("s = '<end_of_step>'\n")
    (18, -1)
    """
    position, pattern = start, _stops(stops, goes_on)
    while found := pattern.search(text, position):
        position = found.end()
        if found["mark"]:
            return position
        if found[0] == ANSWER:
            # An answer is prose.
            end = _any_of(stops).search(text, position)
            return end.end() if end else -1
    return -1


def split_stop(step: str) -> tuple[str, str]:
    """Return a step without the stop mark at its end, and that mark. It is "" if there is none."""
    text = step.rstrip()
    if not text.endswith(STOP_MARKS):
        return step, ""
    start = text.rindex("<")
    return text[:start], text[start:]


def outer_marks(text: str, marks: tuple[str, ...], in_code: bool) -> Iterator[re.Match[str]]:
    """Yield the marks outside literals and comments, in order.

    Args:
        text: Text of a step, without the stop mark at its end.
        marks: Marks to look for.
        in_code: Whether the text begins in code. In prose only whole lines are comments. A
            `<code>` that is yielded begins code.
    """
    position = 0
    while text.find("<", position) >= 0 and (
        found := _outside(marks, in_code).search(text, position)
    ):
        position = found.end()
        if found["mark"]:
            in_code = in_code or found["mark"] == CODE
            yield found


def solution_text(
    text: str, in_code: bool = False, is_whole: bool = False, before: str = ""
) -> str:
    r"""Return the text of a step as it stands in a solution.

    It is cut behind its first stop mark. What only spells a mark is escaped, see `marks`.

    Args:
        text: Text that an engine wrote.
        in_code: Whether a `<code>` before it is still open.
        is_whole: Whether the engine is known to have ended the step at its end.
        before: Solution before the step, or its `open_mark`. A step that was cut within a mark may
            be its end.

    >>> print(solution_text("<code>\nprint('<code>')\n<end_of_code> and more"))
    <code>
    print('<\code>')
    <end_of_code>
    """
    if before and _completes_mark(before, text):
        text = "\\" + text
    body, stop = split_stop(text)
    if is_whole:
        stop = text[len(body) :]
    inner = body.lstrip()
    if inner.startswith(_OPENERS):
        inner = inner[inner.index(">") + 1 :]
    if not spells_mark(inner):
        return body + stop
    if not is_whole and (end := stop_end(text)) >= 0:
        body, stop = split_stop(text[:end])
    pieces, position, is_open = [], 0, in_code
    for mark in outer_marks(body, _OPENERS, in_code):
        is_first = not body[: mark.start()].strip()
        if mark[0] == CODE and is_open and not is_first:
            continue
        pieces += [escape(body[position : mark.start()]), mark[0]]
        position, is_open = mark.end(), True
        if mark[0] == ANSWER:
            break
    return "".join([*pieces, escape(body[position:]), stop])


def open_mark(text: str) -> str:
    """Return the end of a text in which a mark may begin that it does not spell, or ""."""
    begun = text[at:] if (at := text.rfind("<")) >= 0 else ""
    return "" if spells_mark(begun) else begun


def _completes_mark(before: str, text: str) -> bool:
    """Return whether a mark begins in one text and ends in the next."""
    begun = open_mark(before)
    return bool(begun) and spells_mark(begun + text)


@lru_cache
def _any_of(marks: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, marks)) or "(?!)")


@lru_cache
def _stops(stops: tuple[str, ...], goes_on: bool) -> re.Pattern[str]:
    marks = "|".join(map(re.escape, stops))
    literal = f"{LITERAL}|{OPEN_LITERAL}" if goes_on else LITERAL
    comment = rf"#(?:(?!{marks})[^\n])*+"
    return re.compile(f"(?P<mark>{marks})|{ANSWER}|{literal}|{comment}", re.DOTALL)


@lru_cache
def _outside(marks: tuple[str, ...], in_code: bool) -> re.Pattern[str]:
    comment = COMMENT if in_code else COMMENT_LINE
    alternatives = "|".join(map(re.escape, marks))
    return re.compile(f"(?P<mark>{alternatives})|{LITERAL}|{comment}", re.DOTALL)
