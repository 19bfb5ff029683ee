"""Forms that are no mathematics: times, ratios, numbers of a base, options, and words."""

import re

from rstar_fast.verify.grade.read.tokens import ReadError
from rstar_fast.verify.grade.read.values import (
    BaseNumber,
    Bracketed,
    Clock,
    Option,
    Region,
    Value,
    Words,
)
from rstar_fast.verify.grade.read.vocabulary import NAMES, TEXT_COMMANDS

_TEXT = re.compile(rf"\\(?:{'|'.join(sorted(TEXT_COMMANDS))})\s*\{{([^{{}}]*)\}}")
_CLOCK = re.compile(
    r"(\d{1,2})(?:\s?:\s?(\d{2}))?(?:\s?:\s?(\d{2}))?\s*([ap])\.?\s?m\.?", re.IGNORECASE
)
_COLONS = re.compile(r"\d{1,18}(?:\s?:\s?\d{1,18}){1,5}")
_BASE = re.compile(r"([0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s?_\s?\{?\s?(\d{1,2})\s?\}?")
_OPTION = re.compile(r"\(?([A-Z])(?:\)|\.|:|\)\.|\):)\s*(?![,;&]|and\b|or\b|\\)\S.*", re.DOTALL)
_LETTERS = re.compile(r"[^\W_]+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SIGNS_OF_MATHEMATICS = re.compile(r"[=<>^_+*/|{}\\\[\]]|\d\s*[-,]\s*\d|\(\s*-?\d")
_NO_ANSWERS = frozenset({"none", "nan", "error", "null"})
_EMPTY_SETS = frozenset({"emptyset", "empty set", "the empty set", "s.emptyset", "set()"})
_ALL_NUMBERS = frozenset({"all real numbers", "all reals", "reals", "the real numbers"})


def read_special(text: str) -> Value | None:
    """Read an undressed answer that is of one of these forms, a single word included.

    Raises:
        ReadError: It is a word that says that there is no answer.
    """
    plain = _without_text_commands(text)
    if match := _CLOCK.fullmatch(plain):
        parts = tuple(int(part) for part in match.groups()[:3] if part)
        return Clock(parts, match[4].lower(), True)
    if _COLONS.fullmatch(plain):
        return _colons([part.strip() for part in plain.split(":")])
    if (match := _BASE.fullmatch(plain)) and match[1][0].isdigit():
        return BaseNumber(match[1].upper(), int(match[2]))
    if match := _OPTION.fullmatch(plain):
        return Option(match[1])
    if plain.casefold() in _EMPTY_SETS:
        return Bracketed(r"\{", r"\}", ())
    if plain.casefold() in _ALL_NUMBERS:
        return Region("reals")
    return read_words(plain) if _WORD.fullmatch(plain) and plain not in NAMES else None


def read_words(text: str) -> Words:
    """Read an undressed answer as words.

    Raises:
        ReadError: It is no text, or may be mathematics that was not understood.
    """
    plain = _without_text_commands(text)
    if _SIGNS_OF_MATHEMATICS.search(plain) or not _WORD.search(plain):
        raise ReadError("neither mathematics nor words")
    written = "".join(_LETTERS.findall(plain))
    if written.casefold() in _NO_ANSWERS:
        raise ReadError("no answer")
    return Words(written.casefold(), written)


def _colons(written: list[str]) -> Clock:
    is_time = (
        len(written) <= 3
        and int(written[0]) <= 24
        and all(len(part) == 2 and int(part) < 60 for part in written[1:])
    )
    return Clock(tuple(map(int, written)), "", is_time)


def _without_text_commands(text: str) -> str:
    r"""Return a text in which `\text{East}` is `East`."""
    return " ".join(_TEXT.sub(r"\1", text).split())
