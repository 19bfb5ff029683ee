"""The command `rstar-fast doctor`: what runs the programs of steps here, and what confines them."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from rstar_fast.cli.console import Exit
from rstar_fast.verify import Executor

HELP = "what confines the programs of steps on this machine"
DESCRIPTION = "Say what runs the programs of steps on this machine, and what confines them."


def epilog() -> str:
    """Return the text after the options."""
    return "Exit codes: 0 if programs are isolated well enough for require_isolation=True, else 2."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the means of isolation. The exit code is 2 where they are not sufficient."""
    with Executor(workers=1) as executor:
        isolation, report = executor.isolation(), executor.report()
    code = Exit.ERROR if isolation.missing else Exit.OK
    if args.json:
        told = {"means": isolation.means, "missing": isolation.missing}
        told |= {name: report[name] for name in ("native", "num_huge_pages")}
        console.print(json.dumps(told), soft_wrap=True)
        return code
    table = Table("means", "in force", "why not", title="Isolation of programs")
    for name, reason in isolation.means.items():
        table.add_row(name, "no" if reason else "yes", reason)
    console.print(table)
    cloned_by = (
        "C++"
        if report["native"]
        else "Python (the extension rstar_fast._clone cannot be loaded; slower)"
    )
    pages = report["num_huge_pages"]
    console.print(f"Programs are cloned by {cloned_by}, from a process with {pages} huge pages.")
    if isolation.missing:
        missing = "; ".join(isolation.missing)
        console.print(f"Not isolated enough for require_isolation=True; missing: {missing}")
    else:
        console.print("Isolated well enough for require_isolation=True.")
    return code
