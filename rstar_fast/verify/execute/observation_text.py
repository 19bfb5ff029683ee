"""The wording of observations: of what programs show, of exceptions, and cut to length.

Used in the main process, in the supervisor and in the processes of programs. Needs the standard
library only.
"""

from collections.abc import Sequence
from typing import Any

MAX_OBSERVATION_CHARS = 1024
"""Longest text of an observation. A longer one is cut to its first and last half around "..."."""
_MAX_LATE_FAILURE_CHARS = MAX_OBSERVATION_CHARS // 2 - len("...")
"""Longest text of a failure after output, so that no cut of the whole reaches into it."""


def cut(text: str, max_chars: int = MAX_OBSERVATION_CHARS) -> str:
    """Return a text, without its middle if it is longer than `max_chars`."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}...{text[-half:]}"


def stdout_text(printed: str, value: Any) -> str:
    """Return the observation of the "stdout" style before it is cut.

    Args:
        printed: Everything that the program printed.
        value: Value of its last statement, which is shown if nothing was printed. None for none.
    """
    return printed if printed or value is None else str(value)


def reference_text(prints: Sequence[tuple[str, Any]], last: Any) -> str:
    """Return the observation of the "reference" style before it is cut.

    Args:
        prints: What `print_arguments` gives for each print node, and the node's result.
        last: Result of the last statement: its value, or what it printed if that is None.
    """
    if len(prints) >= 2:
        return "".join([f"{arguments} {_shown(result)}" for arguments, result in prints])
    return _shown(last)


def _shown(result: Any) -> str:
    return rounded(result) if isinstance(result, str) else str(result)


def rounded(text: str) -> str:
    """Return a text that is one number rounded to 4 decimals, unless that makes it longer.

    The rounded number ends in a line end, which counts.
    """
    try:
        short = f"{round(float(text), 4)}\n"
    except ValueError:
        return text
    return text if len(text) < len(short) else short


def describe(error: BaseException) -> str:
    """Return an exception as an observation: `Type: message`."""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    try:
        message = str(error)
    except BaseException as unprintable:
        # The program's own __str__ raised.
        message = f"<unprintable: {type(unprintable).__name__}>"
    return cut(f"{name}: {message}").strip()


def after_output(printed: str, failure: str) -> str:
    r"""Return the observation of a program that failed after it printed something.

    The failure has a line of its own at the end. It is cut to half of an observation.

    >>> after_output("1", "ValueError: no"), after_output("", "ValueError: no")
    ('1\nValueError: no', 'ValueError: no')
    """
    if not printed.strip():
        return failure
    line_end = "" if printed.endswith("\n") else "\n"
    return cut(printed + line_end + cut(failure, _MAX_LATE_FAILURE_CHARS)).strip()
