"""The thinking part that a reasoning model writes before its text."""

import re

THINKING = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|channel>thought": "<channel|>",
}
"""Texts that begin and end a thinking part."""
_BEGINS = tuple(THINKING)
THINKING_MARKS = (*THINKING.keys(), *THINKING.values())

_PART = "|".join(
    rf"{re.escape(begin)}.*?(?:{re.escape(end)}|\Z)" for begin, end in THINKING.items()
)
_PARTS = re.compile(rf"(?P<before>\s*)(?:{_PART})(?:\s*(?:{_PART}))*\n*", re.DOTALL)
_OPEN = re.compile(rf"({'|'.join(map(re.escape, THINKING))})\s*\Z")


def thinking_end(text: str) -> int:
    r"""Return the index just past the thinking part at the beginning of a text, or 0 without one.

    It is the text's length where the part does not end. Line ends behind the part belong to it.

    >>> thinking_end("x = 1"), thinking_end("<think>So"), thinking_end("<think>So</think>\n\nx")
    (0, 9, 19)
    """
    found = _PARTS.match(text)
    return found.end() if found else 0


def without_thinking(text: str) -> str:
    r"""Return a text without the thinking part at its beginning. Blanks before the part stay.

    >>> without_thinking("<think>So</think>\n\n<code>"), without_thinking("<think>So ")
    ('<code>', '')
    """
    # Quicker than the pattern, for all the texts without one.
    if not text.lstrip().startswith(_BEGINS):
        return text
    found = _PARTS.match(text)
    return found["before"] + text[found.end() :] if found else text


def with_closed_thinking(prompt: str) -> str:
    r"""Return a prompt in which a thinking part that its end opens is closed, with nothing in it.

    >>> with_closed_thinking("<think>\n")
    '<think>\n\n</think>\n\n'
    """
    if not (found := _OPEN.search(prompt)):
        return prompt
    return f"{prompt[: found.end(1)]}\n\n{THINKING[found[1]]}\n\n"
