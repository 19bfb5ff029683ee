"""Measure test-time scaling: search with a PPM against independent samples, at equal tokens.

    python -m recipes.scaling RUN --out DIR [--round 4] [--problems 200] [--trajectories 1 2 4 8 16]

RUN is the folder of a `rstar-fast evolve`. One round's policy solves the run's held-out problems. A
search of 1, 2 or 4 trajectories has as many rollouts. More trajectories are several searches of 4,
whose answers vote by their scores. Each problem gets samples for the tokens that its search took,
and majority, ORM, PQM and PPM choose among them. Stopped or killed, the same command goes on where
it was. It writes scaling.json and scaling.png to DIR, and prints a card and a table.
"""

import argparse
import json
from functools import partial
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
"""Rollouts of each search, where there are several."""
PER_DRAW = 64
"""Samples of a problem that are drawn at once."""
Samples = dict[str, list[Sample]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the self-evolution")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--round", type=int, default=4, help="round of the models (4)")
    parser.add_argument("--problems", type=int, default=200, help="held-out problems (200)")
    parser.add_argument("--trajectories", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    args = parser.parse_args()
    if any(count > PER_SEARCH and count % PER_SEARCH for count in args.trajectories):
        parser.error(
            f"--trajectories: expected numbers up to {PER_SEARCH} and multiples of {PER_SEARCH}, "
            f"got {args.trajectories}"
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
    """Return the answers of each problem's searches, by the number of trajectories."""
    folder = args.run / f"round-{args.round}"
    most = max(args.trajectories)
    counts = {count: 1 for count in args.trajectories if count < PER_SEARCH} | {
        PER_SEARCH: max(1, most // PER_SEARCH)
    }
    found: dict[int, Samples] = {}
    for rollouts, searches in counts.items():
        how = config.evaluate.search.with_changes(rollouts=rollouts)
        trees = solve_in(args.out / f"search-{rollouts}", how, folder, problems, searches, config)
        answers = {key: search_samples(found, verifier) for key, found in trees.items()}
        if rollouts < PER_SEARCH:
            found[rollouts] = answers
        else:
            for count in (count for count in args.trajectories if count >= PER_SEARCH):
                found[count] = {
                    key: samples[: count // PER_SEARCH] for key, samples in answers.items()
                }
    return found


def draw(
    args: argparse.Namespace,
    config: EvolveConfig,
    problems: list[Problem],
    searched: Samples,
    verifier: SourceVerifier,
) -> dict[str, Samples]:
    """Return independent samples with the scores of each model, by the model's name.

    Each problem has at least as many samples as the tokens of its searches pay for.
    """
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
        draws.append({key: drawn for key, drawn in trees.items() if drawn})
        left = {
            key: left[key] - drawn[0].counts["generated_tokens"] for key, drawn in draws[-1].items()
        }
    pools: dict[str, Samples] = {}
    for name in ("ppm", "orm", "pqm"):
        if (folder / name).exists():
            scorer = PackedScorer(PPM.from_pretrained(folder / name))
            scored = [rescored_samples(trees, scorer, verifier) for trees in draws]
            pools[name] = {
                problem.id: [one for drawn in scored for one in drawn.get(problem.id, [])]
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
    """Return the trees of every problem, which are kept in a folder."""
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
    """Return what every method solves at the tokens of a search."""
    methods = {"search": choose("search", searched, partial(vote, weighted=True))}
    for name, pool in pools.items():
        equal = at_equal_tokens(pool, searched)
        if name == "ppm":
            plain = {key: unscored(samples) for key, samples in equal.items()}
            methods["majority"] = choose("majority", plain, vote)
            weighted = choose("weighted vote", equal, partial(vote, weighted=True))
            methods["weighted vote by PPM"] = weighted
        methods[f"best by {name.upper()}"] = choose(name, equal, best)
    return methods


def unscored(samples: list[Sample]) -> list[Sample]:
    """Return the samples without scores, so that ties of a vote go to the earlier answer."""
    return [Sample(one.answer, one.correct, one.tokens) for one in samples]


def write(out: Path, points: dict[int, dict[str, Accuracy]]) -> None:
    """Print the table, and write the figures and the curves."""
    figures: dict[str, Any] = {}
    print(
        f"\n{'trajectories':>12} {'tokens':>7}  solved, % [95% interval of search]; "
        "search against majority, problem by problem"
    )
    for count, methods in points.items():
        search = methods["search"]
        shares = "  ".join(f"{name} {100 * one.share.value:.1f}" for name, one in methods.items())
        low, high = search.share.interval
        against = paired(search.solved, methods["majority"].solved)
        print(
            f"{count:12} {search.tokens:7.0f}  {shares}  [{100 * low:.1f}, {100 * high:.1f}]; "
            f"{against}"
        )
        figures[str(count)] = {
            name: {
                "solved": one.share.successes,
                "problems": one.share.trials,
                "tokens": one.tokens,
                "samples": one.samples,
            }
            for name, one in methods.items()
        }
    (out / "scaling.json").write_text(json.dumps(figures, indent=1))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in next(iter(points.values())):
        marked = [methods[name] for methods in points.values()]
        axes.plot(
            [one.tokens for one in marked],
            [100 * one.share.value for one in marked],
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
