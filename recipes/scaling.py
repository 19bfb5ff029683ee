"""Measure test-time scaling: a search against independent samples, at equal generated tokens.

    python -m recipes.scaling RUN --out DIR [--trajectories 64] [--set rollouts=64 widening=2.0]

RUN is the folder of a `rstar-fast evolve`. One round's policy solves the run's held-out problems.
Each problem is sampled, and searched, until both have generated as many tokens as so many samples
take on average. All smaller budgets are read from the same samples and searches: an answer counts
once all tokens up to its end were drawn, those of paths that died too. `--set` changes the search
of the run's [evaluate]. The same command continues a run that was stopped or killed.

It prints a table for each source of problems, and where the search crosses the samples. It writes
scaling.json (`rstar_fast.evaluate.Measured`) and scaling.png to DIR.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.lib.card import print_card
from recipes.measuring import PER_DRAW, add_arguments, markdown, open_round
from rstar_fast.cli.options import parse_settings
from rstar_fast.evaluate import Measured, measure, path_samples, search_methods
from rstar_fast.evolve.budget_tables import SEARCH, compared_rows, share_rows

SHOWN = (SEARCH, "search: pass", "majority", "ppm: best", "orm: best", "pqm: best", "pass")
"""Methods that the picture shows, if they were measured."""
RIVALS = ("majority", "ppm: best", "ppm: best with greedy", "orm: best")
FIRST = 20
"""Problems whose samples tell how many tokens a sample takes."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--trajectories", type=int, default=64, help="samples to pay for (64)")
    parser.add_argument("--set", nargs="+", default=[], help="changes to the search")
    args = parser.parse_args()
    models = open_round(args)
    groups = {problem.id: models.groups[problem.id] for problem in models.problems}
    first = models.samples(args.out / "first", models.problems[:FIRST], 1)
    drawn = [one for trees in first.values() for tree in trees for one in path_samples(tree)]
    each = sum(one.tokens for one in drawn) / len(drawn)
    counts = [2**k for k in range(args.trajectories.bit_length())]
    budgets = [round(each * count) for count in counts]
    how = models.config.evaluate.search.with_changes(**parse_settings(args.set))
    print_card(run=args.run, round=args.round, problems=len(groups), tokens_a_sample=round(each))
    methods = models.sample_methods(
        args.out, models.problems, budgets[-1], min(PER_DRAW, args.trajectories)
    )
    searched = models.searches(args.out / "search", how, models.problems, budgets[-1])
    methods |= search_methods("search", searched)
    measured = measure(methods, groups, budgets)
    (args.out / "scaling.json").write_text(json.dumps(measured.to_dict()))
    for group in measured.group_names:
        print(f"\n{group}: {measured.share('majority', budgets[0], group).trials} problems, %\n")
        head, rows = share_rows(measured, group)
        print(markdown(head, [*rows, *compared_rows(measured, group)]))
        for rival in RIVALS:
            if rival in measured.solved:
                print(f"\n{crossing(measured, rival, group)}")
    draw(measured, args.out / "scaling.png")
    print(f"\n{args.out / 'scaling.png'}")


def crossing(measured: Measured, rival: str, group: str) -> str:
    """Return in words where the search crosses another method."""
    leads = [
        measured.compare(SEARCH, rival, budget, group).difference for budget in measured.budgets
    ]
    places = [
        f"{'passes' if lead > 0 else 'falls behind'} {rival} between {low:,} and {high:,} tokens"
        for (low, before), (high, lead) in pairwise(zip(measured.budgets, leads, strict=True))
        if (before > 0) != (lead > 0)
    ]
    always = "is above" if leads[0] > 0 else "is not above"
    return f"search {', '.join(places) or f'{always} {rival} at every budget'}"


def draw(measured: Measured, path: Path) -> None:
    """Write a picture of the curves, one part for each source of problems."""
    names = measured.group_names
    figure = Figure(figsize=(6 * len(names), 4.5), layout="constrained")
    parts: Any = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, group in zip(parts, names, strict=True):
        for method in (method for method in SHOWN if method in measured.solved):
            shares = [measured.share(method, budget, group).value for budget in measured.budgets]
            axes.plot(measured.budgets, [100 * one for one in shares], marker="o", label=method)
        axes.set_xscale("log")
        axes.set_title(group)
        axes.set_xlabel("generated tokens per problem")
        axes.set_ylabel("held-out problems solved, %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
