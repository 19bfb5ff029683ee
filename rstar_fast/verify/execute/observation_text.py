"""The wording of observations: cut to length, rounded, and of exceptions.

Used in the main process, in the supervisor and in the processes of programs. Needs the standard
library only.
"""

from typing import Any

MAX_OBSERVATION_CHARS = 1024
"""Longest text of an observation. A longer one is cut to its first and last half around "..."."""


def cut(text: str) -> str:
    """Return a text, without its middle if it is longer than `MAX_OBSERVATION_CHARS`."""
    if len(text) <= MAX_OBSERVATION_CHARS:
        return text
    half = MAX_OBSERVATION_CHARS // 2
    return f"{text[:half]}...{text[-half:]}"


def rounded(printed: str) -> str:
    """Return printed text that is one number rounded to 4 decimals, if that makes it shorter."""
    try:
        short = str(round(float(printed), 4))
    except ValueError:
        return printed
    return short if len(short) < len(printed.strip()) else printed


def stdout_text(printed: str, value: Any) -> str:
    """Return the observation of the "stdout" style before it is cut.

    Args:
        printed: Everything that the program printed.
        value: Value of its last statement, which is shown if nothing was printed. None for none.
    """
    return rounded(printed) if printed or value is None else str(value)


def describe(error: BaseException) -> str:
    """Return an exception as an observation: `Type: message`."""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    try:
        message = str(error)
    except BaseException as unprintable:
        # The program's own __str__ raised.
        message = f"<unprintable: {type(unprintable).__name__}>"
    return cut(f"{name}: {message}").strip()
