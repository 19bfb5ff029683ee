"""Pool the measurements of several self-evolutions, such as runs with different seeds.

    python -m recipes.pooled RUN0 RUN1 RUN2

The runs have the same held-out problems and budgets. For every round and source of problems it
prints, as Markdown, what each method solves on average over the runs at each budget, and the search
less its rivals. Intervals resample runs and problems; the test counts each problem once.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recipes.measuring import markdown
from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import Measured, pooled
from rstar_fast.evolve.budget_tables import SEARCH, read_measured

RIVALS = ("policy", "majority", "ppm: best", "orm: best", "pqm: best", "pass")
"""Methods that the search is compared with, if all runs have them."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of self-evolutions")
    runs = parser.parse_args().runs
    number = 1
    while rounds := [
        found for run in runs if (found := read_measured(run / f"round-{number}" / "results"))
    ]:
        if len(rounds) < len(runs):
            print(f"\nround {number}: only {len(rounds)} of {len(runs)} runs have measured it")
            break
        for group in [*rounds[0].group_names, None]:
            print(f"\n## Round {number}, {group or 'all'}\n\n{table(rounds, group)}")
        number += 1
    if number == 1:
        parser.error("expected runs that have measured at budgets, got none in round 1")


def table(runs: Sequence[Measured], group: str | None) -> str:
    """Return what each method solves on average, and the search less its rivals, as Markdown.

    Raises:
        ConfigError: The runs have other problems or budgets.
    """
    first = runs[0]
    if any((run.problems, run.budgets) != (first.problems, first.budgets) for run in runs):
        raise ConfigError("expected runs with the same problems and budgets")
    methods = [method for method in first.solved if all(method in run.solved for run in runs)]
    rows = []
    for method in methods:
        shares = [
            sum(run.share(method, budget, group).value for run in runs) / len(runs)
            for budget in first.budgets
        ]
        rows.append([method, *(f"{100 * share:.1f}" for share in shares)])
    for rival in [rival for rival in RIVALS if rival in methods]:
        differences = [
            pooled(
                *([run.flags(method, budget, group) for run in runs] for method in (SEARCH, rival))
            )
            for budget in first.budgets
        ]
        rows.append([f"{SEARCH} - {rival}", *map(str, differences)])
    problems = first.share(methods[0], first.budgets[0], group).trials
    head = [f"{len(runs)} runs, {problems} problems", *(f"{one:,}" for one in first.budgets)]
    return markdown(head, rows)


if __name__ == "__main__":
    main()
