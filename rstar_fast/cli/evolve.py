"""The command `rstar-fast evolve`: rounds of searching and training."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rstar_fast.checks import check_boolean
from rstar_fast.cli.console import Exit
from rstar_fast.cli.options import add_settings, merged, parse_settings

if TYPE_CHECKING:
    from rstar_fast.evolve import StageEvent
    from rstar_fast.evolve.summary import RoundSummary

DESCRIPTION = "Self-evolution: search, train the policy, train the PPM, measure; round after round."
_EPILOG = """\
Every stage (a search, a training, a measurement) is finished once. Stopped or killed, the same
command continues where it was.

examples:
  rstar-fast evolve --config evolve.toml --out runs/evolve --processes 2
  rstar-fast evolve --config evolve.toml --out runs/again --set seed=1 policy.epochs=2
"""


def epilog() -> str:
    """Return the text after the options."""
    return _EPILOG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--config", required=True, metavar="C", help="TOML file: models, problems, rounds")
    add("--out", required=True, metavar="DIR", help="folder of the run, made if missing")
    add_settings(parser, "changes to the file, as in parts=2 or policy.epochs=3")
    add("--processes", type=int, default=1, metavar="N", help="number of stages at once (1)")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes that run programs, per search (one per core)",
    )
    add("--threads", type=int, metavar="N", help="threads of each stage (the cores shared out)")
    add(
        "--unconfined",
        action="store_true",
        help="run steps even where they cannot be confined well (see rstar-fast doctor); also "
        "unconfined = true in the file",
    )
    add("--device", metavar="D", help="cpu, cuda, cuda:1, ... (a GPU where there is one)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do the stages that are not finished, then write the report."""
    from rstar_fast.evolve import evolve, read_options
    from rstar_fast.evolve.report import write_report
    from rstar_fast.evolve.summary import summarize

    options = merged(read_options(args.config), parse_settings(args.set))
    # Like the device, this belongs to the machine and not to the run.
    unconfined = options.pop("unconfined", False)
    check_boolean("unconfined", unconfined)
    how = {
        "processes": args.processes,
        "workers": args.workers,
        "threads": args.threads,
        "device": args.device,
        "unconfined": args.unconfined or unconfined,
    }
    out = Path(args.out)
    try:
        for event in evolve(options, out, **how):
            _tell(event, console)
            if event.kind == "done" and event.stage.kind == "results":
                console.print(table(summarize(out)))
    except KeyboardInterrupt:
        console.print(
            f"\nstopped; to go on, run the same command again:\n  {args.command_line}",
            soft_wrap=True,
        )
        return Exit.INTERRUPTED
    files = write_report(out)
    console.print(table(summarize(out)))
    by_group = groups_table(summarize(out))
    if by_group.row_count:
        console.print(by_group)
    for shown in (*budget_tables(summarize(out)), times_table(out)):
        console.print()
        console.print(shown)
    console.print(f"\nlook at it: {files[-1]}", soft_wrap=True)
    return Exit.OK


def _tell(event: "StageEvent", console: Console) -> None:
    if event.manifest:
        metrics = {
            name: value
            for name, value in event.manifest["metrics"].items()
            if isinstance(value, int | float)
        }
        shown = ", ".join(
            f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value:,}"
            for name, value in metrics.items()
        )
        console.print(
            f"{event.stage.name}: {event.manifest['seconds']:.0f} s; {shown}",
            soft_wrap=True,
            highlight=False,
        )
    else:
        console.print(
            f"{event.stage.name}: {event.kind} {event.reason}".rstrip(),
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def table(summaries: "Sequence[RoundSummary]") -> Table:
    """Return a table of the rounds: problems solved, training data, accuracy of the models."""
    from rstar_fast.evolve.report import METHOD_NAMES, percent

    # Methods that no round was measured by (the baselines, say) have no column.
    methods = [
        method for method in METHOD_NAMES if any(method in one.accuracy for one in summaries)
    ]
    names = [METHOD_NAMES[method] for method in methods]
    shown = Table("round", "solved", "solutions", "pairs", *names, "pair order", box=None)
    for one in summaries:
        shown.add_row(
            str(one.number),
            percent(one.solved) if one.solved else "",
            *(
                f"{one.counts[name]:,}" if name in one.counts else ""
                for name in ("sft_rows", "pairs")
            ),
            *(
                percent(one.accuracy[method]) if method in one.accuracy else ""
                for method in methods
            ),
            "; ".join(f"{100 * of.value:.0f}" for of in one.pairs.values()),
        )
    return shown


def groups_table(summaries: "Sequence[RoundSummary]") -> Table:
    """Return a table of what the policy alone solves of each group of held-out problems."""
    from rstar_fast.evolve.report import percent
    from rstar_fast.evolve.summary import groups

    shown = Table("policy alone", *(f"round {one.number}" for one in summaries), box=None)
    for group in groups(summaries):
        shares = [one.policy_by_group.get(group) for one in summaries]
        shown.add_row(escape(group), *(percent(share) if share else "" for share in shares))
    return shown


def budget_tables(summaries: "Sequence[RoundSummary]") -> list[Table]:
    """Return tables of the last measured round at equal tokens, one for each group of problems."""
    from rstar_fast.evolve.budget_tables import compared_rows, share_rows

    measured = [(one.number, one.measured) for one in summaries if one.measured]
    tables = []
    for number, figures in measured[-1:]:
        for group in figures.group_names:
            head, rows = share_rows(figures, group)
            shown = Table(*head, box=None, title=escape(f"round {number}, {group}"))
            for row in [*rows, *compared_rows(figures, group)]:
                shown.add_row(*row)
            tables.append(shown)
    return tables


def times_table(run: Path) -> Table:
    """Return a table of minutes by kind of stage and round."""
    from rstar_fast.evolve.times import time_rows

    head, rows = time_rows(run)
    shown = Table(*head, box=None)
    for row in rows:
        shown.add_row(*row)
    return shown
