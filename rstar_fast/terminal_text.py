"""Text of models and programs, made fit for a terminal."""

import re

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that steer a terminal or cannot be encoded.

They are control characters other than tab and newline, line and paragraph separators, direction
marks, and halves of surrogate pairs.
"""


def clean(text: str) -> str:
    r"""Return a text in which every character that steers a terminal is spelt out.

    >>> clean("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return _UNPRINTABLE.sub(
        lambda match: match.group().encode("unicode_escape", "surrogatepass").decode(), text
    )


def one_line(text: str, limit: int) -> str:
    """Return a text cleaned, on one line, and cut to `limit` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def counted(number: int, what: str) -> str:
    """Return a count with its noun, as in "1 tree" or "2,000 trees".

    Args:
        number: The count.
        what: Noun in the singular. It takes an "s" for other counts than 1.
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a number of seconds as h:mm:ss or m:ss, without fractions."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
