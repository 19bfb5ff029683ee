"""Pool the measurements of several self-evolutions, such as runs with different seeds.

    python -m recipes.pooled RUN0 RUN1 RUN2
    python -m recipes.pooled --keep FILE.json.gz RUN

`--keep` writes what a run has measured into a file that stands for the run later. Those of the
package's models are in `recipes/embedded/measured/`.

The runs have the same held-out problems and budgets. For every round and source of problems it
prints, as Markdown, what each method solves on average over the runs at each budget, and the search
less its rivals. Intervals resample runs and problems; the test counts each problem once.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from itertools import count, takewhile
from pathlib import Path

from recipes.measuring import markdown
from rstar_fast.errors import ConfigError, described
from rstar_fast.evaluate import Measured, pooled
from rstar_fast.evolve.budget_tables import SEARCH, read_measured

RIVALS = (
    "policy",
    "majority",
    "ppm: best",
    "ppm: best with greedy",
    "orm: best",
    "pqm: best",
    "pass",
)
"""Methods that the search is compared with, if all runs have them."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, or files of --keep")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write what the run has measured")
    args = parser.parse_args()
    runs = [measured_rounds(run) for run in args.runs]
    for run, rounds in zip(args.runs, runs, strict=True):
        if not rounds:
            parser.error(f"expected runs that have measured at budgets, got none in {run}")
    if args.keep:
        if len(runs) > 1:
            parser.error(f"--keep: expected one run, got {len(runs)}")
        keep(runs[0], args.keep)
        return
    for number in range(max(map(len, runs))):
        rounds = [run[number] for run in runs if number < len(run)]
        if len(rounds) < len(runs):
            print(f"\nround {number + 1}: only {len(rounds)} of {len(runs)} runs have measured it")
            break
        for group in [*rounds[0].group_names, None]:
            print(f"\n## Round {number + 1}, {group or 'all'}\n\n{table(rounds, group)}")


def measured_rounds(run: Path) -> list[Measured]:
    """Return what the rounds of a run measured at budgets, up to the first that has not.

    Args:
        run: Folder of a self-evolution, or file that `keep` wrote.

    Raises:
        ConfigError: There is no such folder or file, or the file is damaged.
    """
    if run.is_dir():
        folders = (run / f"round-{number}" / "results" for number in count(1))
        return list(takewhile(lambda found: found is not None, map(read_measured, folders)))
    try:
        with gzip.open(run, "rt", encoding="utf-8") as file:
            return [Measured.from_dict(one) for one in json.load(file)]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{run}: expected a run's folder or a file of --keep: {described(error)}"
        ) from error


def keep(rounds: Sequence[Measured], path: Path) -> None:
    """Write what the rounds of a run measured. The same figures give the same bytes."""
    text = json.dumps([one.to_dict() for one in rounds], separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


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
