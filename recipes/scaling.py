"""Test-time scaling: what PPM-guided search and independent samples solve with the same generated tokens.

    python -m recipes.scaling RUN --out DIR [--round 4] [--problems 200] [--trajectories 1 2 4 8 16 32 64]

RUN is the folder of a `rstar-fast evolve`; its held-out problems are solved by a round's policy. A search of 1, 2 or 4 trajectories
has as many rollouts; more trajectories are more searches of 4, whose answers vote by their scores. Every problem's samples are as
many as the tokens of its search paid for; among them majority, ORM, PQM and PPM choose. Interrupted, the same command goes on.
Writes scaling.json and scaling.png to DIR, prints a card and a table.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from bench.lib.card import print_card
from rstar_fast.config import SearchConfig
from rstar_fast.evaluate import (
    Accuracy,
    Sample,
    at_equal_tokens,
    best,
    choose,
    paired,
    rescored_samples,
    search_samples,
    vote,
)
from rstar_fast.evaluate.run import solve
from rstar_fast.evolve import EvolveConfig
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.problems import Problem, read_sources
from rstar_fast.search.engines import open_searcher
from rstar_fast.store import RunFolder
from rstar_fast.store.config_file import read_config
from rstar_fast.tree import Tree
from rstar_fast.verify.grade.by_source import SourceVerifier

PER_SEARCH = 4
"""Rollouts of one of several searches."""
PER_DRAW = 64
"""Independent samples of a problem that are drawn at once."""
Samples = dict[str, list[Sample]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--round", type=int, default=4)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--trajectories", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if any(count > PER_SEARCH and count % PER_SEARCH for count in args.trajectories):
        parser.error(
            f"--trajectories: expected numbers up to {PER_SEARCH} and multiples of {PER_SEARCH}, got {args.trajectories}"
        )
    torch.set_num_threads(args.threads)
    config = EvolveConfig.from_dict(read_config(args.run)["options"])
    problems = read_sources(config.held_out)[: args.problems]
    print_card(run=args.run, round=args.round, problems=len(problems))
    with SourceVerifier() as verifier:
        searched = search(args, config, problems, verifier)
        pools = draw(args, config, problems, searched[max(searched)], verifier)
    points = {count: measure(searched[count], pools) for count in sorted(searched)}
    write(args.out, points)


def search(
    args: argparse.Namespace,
    config: EvolveConfig,
    problems: list[Problem],
    verifier: SourceVerifier,
) -> dict[int, Samples]:
    """The answers of searches, by the number of trajectories."""
    folder = args.run / f"round-{args.round}"
    most = max(args.trajectories)
    counts = {count: 1 for count in args.trajectories if count < PER_SEARCH} | {
        PER_SEARCH: max(1, most // PER_SEARCH)
    }
    found: dict[int, Samples] = {}
    for rollouts, searches in counts.items():
        how = config.evaluate.search.with_changes(rollouts=rollouts)
        trees = solve_in(args.out / f"search-{rollouts}", how, folder, problems, searches, config)
        answers = {key: search_samples(of_one, verifier) for key, of_one in trees.items()}
        if rollouts < PER_SEARCH:
            found[rollouts] = answers
        else:
            for count in (count for count in args.trajectories if count >= PER_SEARCH):
                found[count] = {
                    key: of_one[: count // PER_SEARCH] for key, of_one in answers.items()
                }
    return found


def draw(
    args: argparse.Namespace,
    config: EvolveConfig,
    problems: list[Problem],
    searched: Samples,
    verifier: SourceVerifier,
) -> dict[str, Samples]:
    """Independent samples with the scores of each model, by its name; of every problem as many as its searches' tokens buy."""
    folder = args.run / f"round-{args.round}"
    how = config.evaluate.search.with_changes(
        strategy="best_of_n", candidates=PER_DRAW, use_scores=False
    )
    left = {problem.id: sum(one.tokens for one in searched[problem.id]) for problem in problems}
    draws: list[dict[str, list[Tree]]] = []
    while unpaid := [problem for problem in problems if left.get(problem.id, 0) > 0]:
        number = len(draws)
        trees = solve_in(
            args.out / f"samples-{number}",
            how.with_changes(seed=how.seed + number),
            folder,
            unpaid,
            1,
            config,
        )
        # A problem that failed has no tree, now or ever, and is not asked again.
        draws.append({key: of_one for key, of_one in trees.items() if of_one})
        left = {
            key: left[key] - of_one[0].counts["generated_tokens"]
            for key, of_one in draws[-1].items()
        }
    pools: dict[str, Samples] = {}
    for name in ("ppm", "orm", "pqm"):
        if (folder / name).exists():
            scorer = PackedScorer(PPM.from_pretrained(folder / name))
            scored = [rescored_samples(trees, scorer, verifier) for trees in draws]
            pools[name] = {
                problem.id: [one for of in scored for one in of.get(problem.id, [])]
                for problem in problems
            }
    return pools


def solve_in(
    out: Path,
    how: SearchConfig,
    models: Path,
    problems: list[Problem],
    searches: int,
    config: EvolveConfig,
) -> dict[str, list[Tree]]:
    """Trees of every problem, kept in a folder."""
    ppm = models / "ppm" if how.use_scores else None
    with (
        RunFolder.open(
            out, {"search": how.to_dict(), "searches": searches, "problems": len(problems)}
        ) as folder,
        open_searcher(
            how, models / "policy", ppm, dtype=config.dtype, max_rows=config.max_rows
        ) as searcher,
    ):
        return solve(searcher, problems, searches, folder)


def measure(searched: Samples, pools: dict[str, Samples]) -> dict[str, Accuracy]:
    """Every way at the tokens of a search."""
    ways = {"search": choose("search", searched, lambda of_one: vote(of_one, weighted=True))}
    for name, pool in pools.items():
        equal = at_equal_tokens(pool, searched)
        if name == "ppm":
            ways["majority"] = choose(
                "majority", {key: unscored(of_one) for key, of_one in equal.items()}, vote
            )
            ways["weighted vote by PPM"] = choose(
                "weighted", equal, lambda of_one: vote(of_one, weighted=True)
            )
        ways[f"best by {name.upper()}"] = choose(name, equal, best)
    return ways


def unscored(samples: list[Sample]) -> list[Sample]:
    """The samples as nobody scored them: ties of a vote go to the earlier answer."""
    return [Sample(one.answer, one.correct, one.tokens) for one in samples]


def write(out: Path, points: dict[int, dict[str, Accuracy]]) -> None:
    """The table, the figures and the curve."""
    figures: dict[str, Any] = {}
    print(
        f"\n{'trajectories':>12} {'tokens':>7}  solved, % (95% interval); search against majority, problem by problem"
    )
    for count, ways in points.items():
        shares = "  ".join(f"{name} {100 * way.share.value:.1f}" for name, way in ways.items())
        low, high = ways["search"].share.interval
        against = paired(ways["search"].solved, ways["majority"].solved)
        print(
            f"{count:12} {ways['search'].tokens:7.0f}  {shares}  [{100 * low:.1f}, {100 * high:.1f}]; {against}"
        )
        figures[str(count)] = {
            name: {
                "solved": way.share.successes,
                "problems": way.share.trials,
                "tokens": way.tokens,
                "samples": way.samples,
            }
            for name, way in ways.items()
        }
    (out / "scaling.json").write_text(json.dumps(figures, indent=1))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in next(iter(points.values())):
        marked = [ways[name] for ways in points.values()]
        axes.plot(
            [way.tokens for way in marked],
            [100 * way.share.value for way in marked],
            marker="o",
            label=name,
        )
    axes.set_xscale("log")
    axes.set_xlabel("generated tokens per problem")
    axes.set_ylabel("held-out problems solved, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(out / "scaling.png", dpi=130)
    print(f"\n{out / 'scaling.png'}")


if __name__ == "__main__":
    main()
