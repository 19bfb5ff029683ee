"""Where the command line prints, and the codes it ends with."""

import os
import sys
from enum import IntEnum

from rich.console import Console

PIPED_WIDTH = 120
"""Width of what is printed to a pipe or a file, columns."""


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    ALL_FAILED = 1
    ERROR = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def make_console() -> Console:
    """Return a console on standard output.

    A terminal gets styles. Anything else gets plain text of a fixed width. Nothing that is printed
    is read as markup.
    """
    terminal = sys.stdout.isatty()
    width = None if terminal or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(force_terminal=terminal, width=width, highlight=False, markup=False, emoji=False)


def open_missing_streams() -> None:
    """Replace streams that the caller closed, and let odd characters through the others."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
