"""`rstar-fast doctor`: what runs the programs of steps on this machine, and what confines them."""

import argparse

from rich.console import Console
from rich.table import Table

from rstar_fast.cli.console import Exit
from rstar_fast.verify import Executor


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor", help="what confines the programs of steps on this machine", description=__doc__
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace, console: Console) -> int:
    """Print it; the exit status is 2 where the isolation would not satisfy `require_isolation`."""
    with Executor(workers=1) as executor:
        isolation, report = executor.isolation(), executor.report()
    table = Table("means", "in force", "why not", title="Isolation of programs")
    for name, reason in isolation.means.items():
        table.add_row(name, "no" if reason else "yes", reason)
    console.print(table)
    cloned_by = (
        "C++"
        if report["native"]
        else "Python (the extension rstar_fast._clone cannot be loaded; slower)"
    )
    console.print(
        f"Programs are cloned by {cloned_by}, from a process with {report['num_huge_pages']} huge pages."
    )
    if isolation.missing:
        console.print(
            f"Not isolated enough for require_isolation=True; missing: {'; '.join(isolation.missing)}"
        )
        return Exit.ERROR
    console.print("Isolated well enough for require_isolation=True.")
    return Exit.OK
