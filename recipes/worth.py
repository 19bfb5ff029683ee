"""Is search worth its tokens with a model of your own? It needs no self-evolution.

    python -m recipes.worth MODEL --problems SOURCE --out DIR --budget 600 [--scorer PPM]
        [--limit 200] [--dtype int8] [--set prompt=few_shot temperature=0.8 ...]

The model solves the problems greedily, by independent samples, and by a search, the last two until
each problem has generated the budget. Half and a quarter of the budget are read from the same
samples and searches. `--scorer` guides the search and judges the samples: a PPM, or "likelihood",
the model's own log-probability of a path. Without one the search goes by visits and votes. The
search is the preset widening, which takes the most likely step of each node first; `--set` changes
it, and the way to draw of the samples too.

It prints shares in %, and differences to the samples, problem by problem. "With greedy" has the
greedy solution as the first sample. Stopped or killed, the same command goes on. It writes
worth.json (`rstar_fast.evaluate.Measured`) to DIR.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bench.lib.card import print_card
from recipes.guides import LikelihoodScorer
from recipes.measuring import markdown
from rstar_fast.cli.options import parse_settings
from rstar_fast.config import SearchConfig
from rstar_fast.evaluate import (
    Measured,
    independent,
    measure,
    path_samples,
    rescored_samples,
    sample_methods,
    sample_timeline,
    scored_sample_methods,
    search_methods,
    search_timeline,
    solve,
)
from rstar_fast.evaluate.measured import WITH_GREEDY
from rstar_fast.evolve.budget_tables import share_rows
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.problems import Problem, read_problems
from rstar_fast.search import Searcher
from rstar_fast.search.engines import open_searcher
from rstar_fast.store import RunFolder
from rstar_fast.verify.grade.by_source import SourceVerifier

LIKELIHOOD = "likelihood"
_PER_NAT = 0.1
"""Weight of a log-probability, before the tanh, where the likelihood guides."""
WAYS = ("vote", "weighted vote", "best", "pass")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="folder or hub name of the policy, or what --policy takes")
    add("--problems", required=True, help="source of problems with answers")
    add("--out", type=Path, required=True, help="folder to write to")
    add("--budget", type=int, required=True, help="tokens a problem")
    add("--scorer", help=f'folder or hub name of a PPM, or "{LIKELIHOOD}"')
    add("--limit", type=int, help="number of problems (all)")
    add("--samples", type=int, default=4, help="samples of a problem that are drawn at once (4)")
    add("--dtype", help="type of the policy's weights")
    add("--workers", type=int, default=1, help="processes that run programs (1)")
    add("--set", nargs="+", default=[], help="changes to the search")
    args = parser.parse_args()
    problems = list(read_problems(args.problems))[: args.limit]
    how = SearchConfig.preset(
        "widening", greedy_first=True, max_tokens=args.budget, use_scores=args.scorer is not None
    ).with_changes(**parse_settings(args.set))
    print_card(model=args.model, problems=len(problems), scorer=args.scorer, search=how.to_dict())
    measured = compare(args, problems, how)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "worth.json").write_text(json.dumps(measured.to_dict()))
    head, rows = share_rows(measured, None)
    print(markdown(head, [*rows, *differences(measured)]))


def compare(args: argparse.Namespace, problems: Sequence[Problem], how: SearchConfig) -> Measured:
    """Solve the problems in all ways, and return who solved what at each budget."""
    scorer: LikelihoodScorer | PackedScorer = LikelihoodScorer(_PER_NAT)
    if args.scorer not in (None, LIKELIHOOD):
        scorer = PackedScorer(PPM.from_pretrained(args.scorer))
    tokens = {problem.id: args.budget for problem in problems}
    drawn = independent(how, args.samples)
    greedy = drawn.with_changes(strategy="greedy", candidates=1, temperature=0.0)
    ways = {"greedy": (greedy, None), "samples": (drawn, tokens), "search": (how, tokens)}
    found = {}
    with open_searcher(greedy, args.model, workers=args.workers, dtype=args.dtype) as loaded:
        for name, (config, budget) in ways.items():
            named = {each: vars(args)[each] for each in ("model", "dtype", "problems", "scorer")}
            recorded = {"search": config.to_dict(), **named}
            with (
                RunFolder.open(args.out / name, recorded) as folder,
                Searcher(
                    loaded.policy,
                    config,
                    scorer if config.use_scores else None,
                    runner=loaded.runner,
                    verifier=loaded.verifier,
                ) as searcher,
            ):
                found[name] = solve(searcher, problems, 1, folder, budget)
    with SourceVerifier() as verifier:
        alone, several = (
            rescored_samples(found[name], scorer, verifier)
            if isinstance(scorer, PackedScorer)
            else {
                key: [one for tree in trees for one in path_samples(tree, verifier)]
                for key, trees in found[name].items()
            }
            for name in ("greedy", "samples")
        )
    greedy_alone = {key: sample_timeline(samples) for key, samples in alone.items()}
    methods = {"greedy": sample_methods(greedy_alone, {})["pass"]}
    # Samples without scores have none of the methods that go by them.
    methods |= scored_sample_methods({"ppm": (alone, several)})
    timelines = {key: search_timeline(trees) for key, trees in found["search"].items()}
    methods |= search_methods("search", timelines)
    groups = dict.fromkeys(tokens, args.problems)
    return measure(methods, groups, [args.budget // 4, args.budget // 2, args.budget])


def differences(measured: Measured) -> list[list[str]]:
    """Return rows of the search's ways to answer less those of the samples."""
    rows = []
    for way in WAYS:
        for rival in ("greedy", "majority", "likeliest", "ppm: best", "pass"):
            for other in (rival, rival + WITH_GREEDY):
                names = f"search: {way}", other
                is_fair = (way == "pass") == (rival == "pass")
                if is_fair and all(name in measured.solved for name in names):
                    compared = [measured.compare(*names, at) for at in measured.budgets]
                    rows.append([f"search: {way} - {other}", *map(str, compared)])
    return rows


if __name__ == "__main__":
    main()
