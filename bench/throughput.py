"""Search throughput from end to end, and how busy each resource is.

    python bench/throughput.py [--quick] [--policy DIR [--ppm DIR]] [--problems FILE] [--set option=value ...]

Prints a card, a table and, as the last line, one JSON document: `problems_per_s, expansions_per_s, tokens_per_s, busy`.
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch
from card import print_card

from rstar_fast.cli.options import parse_settings
from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems
from rstar_fast.problems import Problem, load_problems
from rstar_fast.search import Searcher
from rstar_fast.search.activity import RESOURCES
from rstar_fast.search.engines import EMBEDDED, open_searcher
from rstar_fast.tree import Tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=EMBEDDED, help="a model folder or hub name (default: the embedded model)")
    parser.add_argument("--ppm", help="a PPM folder (default: the embedded PPM with the embedded policy, else none)")
    parser.add_argument("--problems", help="a problem file (default: generated problems)")
    parser.add_argument("--limit", type=int, default=64, help="problems per repeat; no two repeats share one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE", help="changes to the preset")
    parser.add_argument("--workers", type=int, default=2, help="processes that run steps")
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.limit, args.repeats = 16, 2

    ppm = args.ppm or (EMBEDDED if args.policy == EMBEDDED else None)
    settings = parse_settings(args.set)
    if ppm is None:
        settings = {"use_scores": False, "annotate_terminals_with_ground_truth": True, **settings}
    config = SearchConfig.preset(args.preset, **settings)
    count = 2 + args.limit * args.repeats
    problems = load_problems(args.problems, limit=count) if args.problems else held_out_problems(count, seed=1)
    warm_up, parts = problems[:2], [problems[2 + i :: args.repeats] for i in range(args.repeats)]
    print_card(policy=args.policy, ppm=ppm, torch_threads=torch.get_num_threads(), problems=len(problems), config=config.to_dict())
    with open_searcher(config, args.policy, ppm, workers=args.workers) as searcher:
        list(searcher.search(warm_up))  # starts every worker
        report([measure(searcher, part) for part in parts])


def measure(searcher: Searcher, problems: list[Problem]) -> dict[str, Any]:
    """One pass over the problems: rates per second of wall time, and the share of it that each resource was busy."""
    before = busy_s(searcher)
    started = time.perf_counter()
    trees = list(searcher.search(problems))
    wall = time.perf_counter() - started
    done = [tree for tree in trees if isinstance(tree, Tree)]
    if len(done) < len(problems):
        raise SystemExit(f"{len(problems) - len(done)} of {len(problems)} problems failed: no throughput is quoted on that")
    after = busy_s(searcher)
    return {
        "problems_per_s": len(done) / wall,
        "expansions_per_s": sum(tree.counts["expansions"] for tree in done) / wall,
        "tokens_per_s": sum(tree.counts["generated_tokens"] for tree in done) / wall,
        "programs_per_s": sum(tree.counts.get("run_requests", 0) for tree in done) / wall,
        "busy": {name: (after[name] - before[name]) / wall for name in RESOURCES},
    }


def busy_s(searcher: Searcher) -> dict[str, float]:
    """Seconds that each resource was busy so far."""
    resources = searcher.stats.record()["resources"]
    return {name: resources.get(name, {}).get("busy_s", 0.0) for name in RESOURCES}


def report(runs: list[dict[str, Any]]) -> None:
    """The table over all repeats, and the JSON line of their medians."""
    rates = [name for name in runs[0] if name != "busy"]
    print(f"\n{'':24}{'median':>12}{'min':>12}{'max':>12}   ({len(runs)} repeats)")
    for name in rates:
        values = [run[name] for run in runs]
        print(f"{name:24}{statistics.median(values):12.2f}{min(values):12.2f}{max(values):12.2f}")
    busy = {name: statistics.median(run["busy"][name] for run in runs) for name in RESOURCES}
    for name in RESOURCES:
        values = [run["busy"][name] for run in runs]
        print(f"{'busy: ' + name:24}{busy[name]:12.1%}{min(values):12.1%}{max(values):12.1%}")
    medians = {name: statistics.median(run[name] for run in runs) for name in rates}
    print(json.dumps({**medians, "busy": busy}))


if __name__ == "__main__":
    main()
