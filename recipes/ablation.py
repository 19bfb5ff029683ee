"""Measure what each part of the search is worth, at one budget of generated tokens.

    python -m recipes.ablation RUN --out DIR --budget 1024 [--set c=0.5] [--only "c = 0" ...]

RUN is the folder of a `rstar-fast evolve`. The search that it measures, with the changes of
`--set`, is the reference, and each variant changes one part of it. Every second held-out problem of
each source is to choose on, the others are to report on. The table has, for each variant and way to
vote, the share on both sides, and on the second side the difference to the reference, problem by
problem. The last row is the variant that is best on the first side. Several searches of a problem
are made where one ends before the budget. Stopped or killed, the same command goes on. It prints
Markdown and writes ablation.json (`rstar_fast.evaluate.Measured` of each side).
"""

import argparse
import json
from typing import Any

from bench.lib.card import print_card
from recipes.measuring import add_arguments, halves, markdown, open_round
from rstar_fast.cli.options import parse_settings
from rstar_fast.evaluate import Measured, measure, search_methods

AT_ONCE = {
    "widening": 0.0,
    "candidates": 6,
    "without_repetition": False,
    "greedy_first": False,
    "coverage": 0.0,
}
"""Changes that draw all candidates of a node at its first visit."""
VARIANTS: dict[str, dict[str, Any]] = {
    "reference": {},
    "all candidates at once": AT_ONCE,
    "same programs kept": {"distinct_programs": False},
    "all at once, same programs kept": {**AT_ONCE, "distinct_programs": False},
    "candidates drawn twice": {"without_repetition": False},
    "no greedy step first": {"greedy_first": False},
    "no coverage": {"coverage": 0.0},
    "c = 0": {"c": 0.0},
    "c = 1": {"c": 1.0},
    "c = 2": {"c": 2.0},
    "narrow: widening 1": {"widening": 1.0},
    "wide: widening 4": {"widening": 4.0},
    "deep: exponent 0.3": {"widening_exponent": 0.3},
    "many searches of 4 rollouts": {"rollouts": 4},
    "no PPM": {"use_scores": False},
}
"""Changes of each variant to the reference."""
VOTES = ("vote", "weighted vote", "best", "pass")
"""Ways to answer. The last one is the share with a right answer among the ends."""
CHOSEN_BY = "best"
"""Way to answer by which the best variant is chosen. Without scores, "vote"."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--budget", type=int, required=True, help="tokens a problem")
    parser.add_argument("--set", nargs="+", default=[], help="changes to the reference")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), help="variants to measure")
    args = parser.parse_args()
    unknown = [name for name in args.only if name not in VARIANTS]
    if unknown:
        parser.error(f"--only: expected some of {', '.join(VARIANTS)}, got {', '.join(unknown)}")
    models = open_round(args)
    reference = models.config.evaluate.search.with_changes(max_tokens=args.budget)
    reference = reference.with_changes(**parse_settings(args.set))
    changed = {name: reference.with_changes(**VARIANTS[name]) for name in args.only}
    # What the reference does without already is no variant of it.
    variants = {"reference": reference}
    variants |= {name: how for name, how in changed.items() if how != reference}
    print_card(run=args.run, round=args.round, budget=args.budget, search=reference.to_dict())
    sides = []
    for side, problems in zip(
        ("choose", "report"), halves(models.problems, models.groups), strict=True
    ):
        methods = models.sample_methods(args.out / side, problems, args.budget)
        for name, how in variants.items():
            out = args.out / side / name.replace(" ", "-").replace("=", "is")
            found = models.searches(out, how, problems, args.budget)
            methods |= search_methods(name, found)
        groups = {problem.id: models.groups[problem.id] for problem in problems}
        sides.append(measure(methods, groups, [args.budget]))
    (args.out / "ablation.json").write_text(json.dumps([side.to_dict() for side in sides]))
    for group in [*sides[0].group_names, None]:
        print(f"\n{group or 'all'}\n\n{table(*sides, group)}")


def table(chosen_on: Measured, reported_on: Measured, group: str | None) -> str:
    """Return the table of all variants, and of the samples, as Markdown."""
    (budget,) = reported_on.budgets

    def row(method: str, title: str = "") -> list[str]:
        shares = [side.share(method, budget, group) for side in (chosen_on, reported_on)]
        variant, _, vote = method.rpartition(": ")
        against = f"reference: {vote}" if variant in VARIANTS else f"reference: {CHOSEN_BY}"
        difference = ""
        if against in reported_on.solved and against != method:
            difference = str(reported_on.compare(method, against, budget, group))
        return [title or method, f"{100 * shares[0].value:.1f}", str(shares[1]), difference]

    rows = [row(method) for method in reported_on.solved]
    candidates = [
        next(method for method in (f"{name}: {CHOSEN_BY}", f"{name}: vote") if method in of.solved)
        for of in [chosen_on]
        for name in VARIANTS
        if f"{name}: vote" in of.solved
    ]
    best = max(candidates, key=lambda method: chosen_on.share(method, budget, group).value)
    rows.append(row(best, f"**chosen: {best}**"))
    sizes = [side.share("majority", budget, group).trials for side in (chosen_on, reported_on)]
    head = [
        f"at {budget:,} tokens",
        f"to choose on (n = {sizes[0]})",
        f"to report on (n = {sizes[1]})",
        "less the reference",
    ]
    return markdown(head, rows)


if __name__ == "__main__":
    main()
