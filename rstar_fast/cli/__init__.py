"""The command line `rstar-fast`."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from rstar_fast import __version__
from rstar_fast.cli import demo, doctor, evolve, search, show
from rstar_fast.cli.console import Exit, make_console
from rstar_fast.errors import RStarError
from rstar_fast.viewer.text import clean

_EPILOG = """\
examples:
  rstar-fast demo
  rstar-fast search --problems problems.jsonl --policy embedded --ppm embedded --preset fast --out run
  rstar-fast show run
  rstar-fast show run problems-3

`rstar-fast COMMAND --help` says more. Exit codes: 0 done, 1 every problem failed, 2 an error (one message on standard
error), 130 stopped by Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        arguments: without the program's name; None for those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    args = _parser().parse_args(words)
    args.command_line = shlex.join(["rstar-fast", *words])
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        code: int = args.run(args, make_console())
        sys.stdout.flush()
        return code
    except RStarError as error:
        print(f"rstar-fast: {clean(str(error))}", file=sys.stderr)
        return Exit.ERROR
    except KeyboardInterrupt:
        print("rstar-fast: stopped", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    finally:
        signal.signal(signal.SIGINT, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rstar-fast",
        description="Solve math problems by deep search over a small language model's steps (rStar-Math).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rstar-fast {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (search, show, evolve, demo, doctor):
        command.add_parser(commands)
    return parser


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """The first Ctrl-C stops cleanly; a second one, while things are being closed, kills."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt
