"""The command line `rstar-fast`."""

from rstar_fast.cli.commands import main

__all__ = ["main"]
