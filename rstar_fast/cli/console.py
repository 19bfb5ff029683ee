"""Where the command line prints, and how it ends."""

import os
import sys
from enum import IntEnum

from rich.console import Console

PIPED_WIDTH = 120


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    ALL_FAILED = 1
    ERROR = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def make_console() -> Console:
    """Standard output: styled in a terminal, plain text of a fixed width elsewhere; nothing printed is read as markup."""
    terminal = sys.stdout.isatty()
    width = None if terminal or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(force_terminal=terminal, width=width, highlight=False, markup=False, emoji=False)
