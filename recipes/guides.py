"""Measure which scorer guides a search best, at one budget of generated tokens.

    python -m recipes.guides RUN --out DIR --budget 1024 [--only ppm likelihood]

RUN is the folder of a `rstar-fast evolve`. The search of the run's [evaluate] solves the run's
held-out problems with the policy of one round, guided by its PPM, by the PPM without likelihood, by
its ORM, its PQM, by the log-probability of a path alone, and by nothing. Several searches of a
problem are made where one ends before the budget. The table has the share of solved problems of
each guide, and the difference to the PPM, problem by problem. Stopped or killed, the same command
goes on. It prints Markdown and writes guides.json (`rstar_fast.evaluate.Measured`).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.lib.card import print_card
from recipes.measuring import add_arguments, markdown, open_round
from rstar_fast.evaluate import Measured, measure, search_methods
from rstar_fast.ppm import PPM, PackedScorer, Scorer, ScoreRequest, Scores

GUIDES = ("ppm", "plain", "orm", "pqm", "likelihood", "nothing")
"""Scorers of a round, by the names of their folders, and two that have no model."""
VOTES = ("vote", "weighted vote", "best", "pass")
"""Ways to answer. The last one is the share with a right answer among the ends."""


@dataclass(frozen=True)
class LikelihoodScorer:
    """A `Scorer` that knows the log-probability of a path under the policy, and no model.

    Attributes:
        weight: Weight of the log-probability before the tanh, per nat, > 0.
    """

    weight: float
    name: str = "likelihood"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order."""
        return [Scores(one.id, np.tanh(self.weight * np.array(one.logprobs))) for one in requests]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--budget", type=int, required=True, help="tokens a problem")
    parser.add_argument("--only", nargs="+", choices=GUIDES, default=GUIDES, help="guides (all)")
    args = parser.parse_args()
    models = open_round(args)
    limits = models.config.evaluate.search.with_changes(max_tokens=args.budget)
    print_card(run=args.run, round=args.round, budget=args.budget, search=limits.to_dict())
    methods = models.sample_methods(args.out, models.problems, args.budget)
    for guide in args.only:
        how = limits.with_changes(use_scores=guide != "nothing")
        scorer = open_guide(guide, models.folder)
        found = models.searches(args.out / guide, how, models.problems, args.budget, scorer)
        methods |= search_methods(guide, found)
    groups = {problem.id: models.groups[problem.id] for problem in models.problems}
    measured = measure(methods, groups, [args.budget])
    (args.out / "guides.json").write_text(json.dumps(measured.to_dict()))
    for group in [*measured.group_names, None]:
        print(f"\n{group or 'all'}\n\n{table(measured, group)}")


def open_guide(name: str, folder: Path) -> Scorer | None:
    """Return a guide of a round. None for no guide.

    Args:
        name: One of `GUIDES`.
        folder: Folder of the round.
    """
    if name == "nothing":
        return None
    if name == "likelihood":
        ppm = PPM.from_pretrained(folder / "ppm")
        # As in the PPM. One that has no likelihood gives no weight to go by.
        return LikelihoodScorer((ppm.likelihood or 1.0) / ppm.scale)
    return PackedScorer(PPM.from_pretrained(folder / name))


def table(measured: Measured, group: str | None) -> str:
    """Return the table of all ways to answer as Markdown."""
    (budget,) = measured.budgets
    rows = []
    for method in measured.solved:
        guide, _, vote = method.rpartition(": ")
        against = f"ppm: {vote}" if guide in GUIDES and vote in VOTES else ""
        compared = against in measured.solved and against != method
        rows.append(
            [
                method,
                str(measured.share(method, budget, group)),
                str(measured.compare(method, against, budget, group)) if compared else "",
            ]
        )
    return markdown([f"at {budget:,} tokens", "solved", "less the search by the PPM"], rows)


if __name__ == "__main__":
    main()
