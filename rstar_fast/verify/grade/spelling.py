"""What the spelling of an answer settles. Runs in the main process."""

from collections.abc import Sequence
from functools import lru_cache

from rstar_fast.verify.base import Grade, Layer
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, tokens_of
from rstar_fast.verify.grade.read.undress import undress

MAX_ANSWER_CHARS = 4096
"""Longest answer, in characters, that is compared as mathematics. A longer one is unsure."""

Spelling = tuple[tuple[Kind, str], ...] | str | None
"""Tokens of an answer, or its text where it cannot be cut into tokens."""


def settled_by_text(golds: Sequence[str], answer: str) -> Grade | None:
    """Return the grade of an answer that needs no comparison of values, else None.

    It is right if it is spelled as an accepted one. It is wrong if it is empty, or if all are plain
    integers. If it is very long, it is unsure.
    """
    if answer in golds and answer.strip():
        return Grade(True, layer=Layer.READ)
    if len(answer) > MAX_ANSWER_CHARS:
        return Grade(False, unsure=True, layer=Layer.READ)
    spelled, others = spelling(answer), [spelling(gold) for gold in golds]
    if spelled is None:
        return Grade(False, layer=Layer.READ)
    if spelled in others:
        return Grade(True, layer=Layer.READ)
    if all(map(_is_integer, (spelled, *others))):
        return Grade(False, layer=Layer.COMPARE)
    return None


@lru_cache(maxsize=8192)
def spelling(answer: str) -> Spelling:
    """Return a form that spellings of one answer share. None for an empty answer."""
    if len(answer) > MAX_ANSWER_CHARS:
        return answer
    text = undress(answer)
    try:
        tokens = tokens_of(text)
    except ReadError:
        return text if text.isprintable() else None
    return tuple(token.key for token in tokens) or None


def _is_integer(spelled: Spelling) -> bool:
    """Return whether tokens are one integer that does not begin with 0, maybe with a sign."""
    if not isinstance(spelled, tuple):
        return False
    *signs, (kind, digits) = spelled
    is_plain = kind is Kind.NUMBER and digits.isdecimal() and digits[0] != "0"
    return is_plain and signs in ([], [(Kind.SIGN, "-")])
