"""Words of a model or a program, made fit for a terminal."""

import re

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and newline, line and paragraph separators, direction marks, lone surrogates."""


def clean(text: str) -> str:
    r"""The text with everything that steers a terminal spelt out.

    >>> clean("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return _UNPRINTABLE.sub(
        lambda match: match.group().encode("unicode_escape", "surrogatepass").decode(), text
    )


def one_line(text: str, limit: int) -> str:
    """The text cleaned, on one line, cut to `limit` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def counted(number: int, what: str) -> str:
    """A number of things: "1 tree", "2,000 trees"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
