"""The commands, and how each of them may end."""

import argparse
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module, metadata
from types import FrameType

from rstar_fast.cli.console import Exit, make_console, open_missing_streams
from rstar_fast.errors import RStarError
from rstar_fast.terminal_text import clean

_COMMANDS = {
    "search": "search problems, store their trees",
    "show": "print a run, a tree or a solution",
    "evolve": "improve a policy and a PPM by rounds of search and training",
    "train": "train a policy or a PPM on rows",
    "sandbox": "run programs for trainers and tools, over HTTP",
    "demo": "search with the models in the package",
    "doctor": "what confines the programs of steps on this machine",
    "bench": "how fast a search over your engine is, and what it waits for",
}
"""Modules of this package, and what each command does.

Only the module of the command that is given is imported, because some take half a second.
"""
_EPILOG = """\
examples:
  rstar-fast demo
  rstar-fast search --problems problems.jsonl --policy embedded --ppm embedded --preset fast --out run
  rstar-fast show run
  rstar-fast show run problems-3

`rstar-fast COMMAND --help` says more. Exit codes: 0 done, 1 every problem failed, 2 an error (one
message on standard error), 130 stopped by Ctrl-C."""  # noqa: E501


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        arguments: Words of the command line without the program's name. None for those of this
            process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_missing_streams()
    before = signal.signal(signal.SIGINT, _interrupt)
    verbose = False
    try:
        _refuse_unknown_command(words)
        args = _parser(words).parse_args(words)
        args.command_line = shlex.join(["rstar-fast", *words])
        verbose = args.verbose
        code: int = args.run(args, make_console())
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _stopped()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.BROKEN_PIPE
    except (RStarError, OSError) as error:
        if verbose:
            traceback.print_exc()
        print(f"rstar-fast: {clean(_words_of(error))}", file=sys.stderr)
        return Exit.ERROR
    except Exception as error:
        # An interrupted import of a library may raise anything.
        if isinstance(error.__context__, KeyboardInterrupt):
            return _stopped()
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _words_of(error: Exception) -> str:
    """Return what an error says. A name that the system refused is cut, because it may be long."""
    if isinstance(error, RStarError) or not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return f"{name if len(name) <= 80 else name[:77] + '...'}: {error.strerror}".removeprefix(": ")


def _stopped() -> int:
    print("rstar-fast: stopped", file=sys.stderr)
    return Exit.INTERRUPTED


def _refuse_unknown_command(words: Sequence[str]) -> None:
    """Raise `RStarError` for a first word that is no command, and name the likely one."""
    if not words or words[0].startswith("-") or words[0] in _COMMANDS:
        return
    close = get_close_matches(words[0], _COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"commands: {', '.join(_COMMANDS)}"
    raise RStarError(f"unknown command {words[0]!r}; {hint}")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for a command line. It knows the options of the command in it alone."""
    parser = argparse.ArgumentParser(
        prog="rstar-fast",
        description="Solve math problems by deep search over a small language model's steps.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version = f"rstar-fast {metadata.version('rstar_fast')}"
    parser.add_argument("--version", action="version", version=version)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="store_true", help="print the traceback of every error"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    given = next((word for word in words if word in _COMMANDS), "")
    for name, description in _COMMANDS.items():
        if name != given:
            commands.add_parser(name, help=description)
            continue
        command = import_module(f"rstar_fast.cli.{name}")
        added = commands.add_parser(
            name,
            parents=[common],
            help=description,
            description=command.DESCRIPTION,
            epilog=command.epilog(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Stop cleanly at the first Ctrl-C. A second one, while things are being closed, kills."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt
