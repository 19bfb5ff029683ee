"""The command `rstar-fast doctor`: what runs the programs of steps here, and what confines them."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from rstar_fast.cli.console import Exit
from rstar_fast.verify import Executor

DESCRIPTION = "Say what runs the programs of steps on this machine, and what confines them."

_WITHOUT = {
    "process namespace": "programs are killed one by one when the main process dies",
    "network namespace": "only seccomp and Landlock keep programs from the network",
    "private file system": "only Landlock hides files, whose names and sizes can be asked for",
    "landlock": "only the private file system hides files",
    "approved clones": "a program's native code can make processes that live until they are found",
    "user namespace": "there are no namespaces for an ordinary user",
}
"""Consequences of means that are not in force, keyed by the means."""


def epilog() -> str:
    """Return the text after the options."""
    return (
        "Exit codes: 0 if programs are isolated well enough for searches, which require it unless "
        "they are --unconfined; else 2. With --strict, 0 only if every means is in force."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--strict", action="store_true", help="require every means")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the means of isolation. The exit code is 2 where they are not sufficient."""
    with Executor(workers=1) as executor:
        isolation, report = executor.isolation(), executor.report()
    lacking = isolation.missing or (isolation.weaker if args.strict else [])
    code = Exit.ERROR if lacking else Exit.OK
    if args.json:
        told = {"means": isolation.means, "missing": isolation.missing}
        told |= {"weaker": isolation.weaker} | {
            name: report[name] for name in ("native", "num_huge_pages")
        }
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
        console.print(f"Not isolated enough for searches; missing: {missing}", markup=False)
    else:
        console.print("Isolated well enough for searches (require_isolation=True).")
    for name, reason in isolation.means.items():
        if reason and name in _WITHOUT:
            console.print(f"Without {name}, {_WITHOUT[name]}.", soft_wrap=True)
    return code
