"""Search throughput from end to end, and how busy each resource is.

    python bench/throughput.py [--quick] [--policy DIR [--ppm DIR]] [--problems FILE] [--set option=value ...]
    python bench/throughput.py --simulate [--quick] [--active N ...] [--candidates N ...] [--machine field=value ...]

Without --simulate: real models, real programs. With it: engines of a large machine that take their time and answer from a script
(`simulated.Machine`), driven by `Searcher`, by a lock-step loop over the same work, and fed alone for the most they can do.
--profile FILE writes a trace that ui.perfetto.dev opens. Prints a card, a table and, as the last line, one JSON document.
"""

import argparse
import json
import resource
import statistics
import time
from dataclasses import asdict, fields
from typing import Any

import torch
from card import print_card
from perfetto import profiled
from schedule import Window, measure_engine, measure_lockstep, measure_ours
from simulated import Machine

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
    parser.add_argument("--simulate", action="store_true", help="judge the scheduler with simulated engines")
    parser.add_argument("--active", type=int, nargs="+", default=[16, 256, 4096], help="simulated: problems searched at once")
    parser.add_argument("--candidates", type=int, nargs="+", default=[8], help="simulated: candidates per expansion")
    parser.add_argument("--seconds", type=float, default=30.0, help="simulated: measured window of every row")
    parser.add_argument("--machine", nargs="*", default=[], metavar="FIELD=VALUE", help="simulated: changes to the machine")
    parser.add_argument("--profile", metavar="FILE", help="write a trace (of the last row of ours, of the last repeat)")
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
    args = parser.parse_args()
    if args.simulate:
        simulate(args)
    else:
        run_models(args)


def run_models(args: argparse.Namespace) -> None:
    """Real models: rates over several repeats."""
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
        runs = [measure(searcher, part) for part in parts[:-1]]
        with profiled(searcher, args.profile):
            runs.append(measure(searcher, parts[-1]))
    report(runs)


def measure(searcher: Searcher, problems: list[Problem]) -> dict[str, Any]:
    """One pass over the problems: rates per second of wall time, and the share of it that each resource was busy."""
    peak = _peak_bytes()
    before = busy_s(searcher)
    started = time.perf_counter()
    trees = list(searcher.search(problems))
    wall = time.perf_counter() - started
    after = busy_s(searcher)
    done = [tree for tree in trees if isinstance(tree, Tree)]
    if len(done) < len(problems):
        raise SystemExit(f"{len(problems) - len(done)} of {len(problems)} problems failed: no throughput is quoted on that")
    return {
        "problems_per_s": len(done) / wall,
        "expansions_per_s": sum(tree.counts["expansions"] for tree in done) / wall,
        "tokens_per_s": sum(tree.counts["generated_tokens"] for tree in done) / wall,
        "programs_per_s": sum(tree.counts.get("run_requests", 0) for tree in done) / wall,
        "peak_kb_per_problem": (_peak_bytes() - peak) / len(problems) / 1024,
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


def simulate(args: argparse.Namespace) -> None:
    """Simulated engines: one table row for each number of problems and of candidates, and each way to drive them."""
    if args.quick:
        args.active, args.candidates, args.seconds = [16, 256], [8], 5.0
    machine = _machine(args.machine)
    window = Window(1.2 * machine.slow_s if not args.quick else 2.0, args.seconds)
    options = {"rollouts": 8, "max_depth": 8, **parse_settings(args.set)}
    print_card(machine=asdict(machine), config=options, window=asdict(window))
    titles = (
        f"{'problems':>8}{'cand.':>7}  {'':10}{'tokens/s':>9}{'of best':>9}{'places':>8}{'PPM':>7}{'tree':>7}{'KB/problem':>12}"
    )
    print(f"\n{titles}{'wall s':>8}")
    rows = []
    for active in args.active:
        for candidates in args.candidates:
            config = SearchConfig.from_dict({**options, "candidates": candidates, "max_active": active})
            row: dict[str, Any] = {"active": active, "candidates": candidates}
            row["engine"] = measure_engine(machine, config, window)
            row["ours"] = measure_ours(machine, config, window, args.profile)
            row["lockstep"] = measure_lockstep(machine, config, window)
            best = row["engine"]["tokens_per_s"]
            for name in ("engine", "ours", "lockstep"):
                row[name]["of_best"] = row[name]["tokens_per_s"] / best
                _print_row(active, candidates, name, row[name])
            rows.append(row)
    print(json.dumps({"machine": asdict(machine), "rows": rows}))


def _print_row(active: int, candidates: int, name: str, row: dict[str, Any]) -> None:
    text = f"{active:8,}{candidates:7}  {name:10}{row['tokens_per_s']:9,.0f}{row['of_best']:9.1%}{row['occupied']:8.1%}"
    if name == "ours":
        text += f"{row['scoring_busy']:7.1%}{row['tree_busy']:7.1%}{row['memory_per_problem_bytes'] / 1024:12,.0f}"
    print(f"{text:79}{row['wall_s']:8.1f}", flush=True)


def _machine(settings: list[str]) -> Machine:
    kinds = {field.name: type(field.default) for field in fields(Machine)}
    pairs = [setting.partition("=")[::2] for setting in settings]
    unknown = [name for name, _ in pairs if name not in kinds]
    if unknown:
        raise SystemExit(f"--machine: expected fields of {', '.join(kinds)}; got {', '.join(unknown)}")
    return Machine(**{name: kinds[name](value) for name, value in pairs})


def _peak_bytes() -> int:
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
