"""Throughput and memory of a search with real models and programs, and the time by resource."""

import statistics
import time
from typing import Any

from lib.breakdown import COLUMNS, breakdown, totals
from lib.perfetto import profiled
from lib.resident import forget_peak, peak_bytes, resident_bytes

from rstar_fast.config import SearchConfig
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.activity import RESOURCES
from rstar_fast.search.engines import open_searcher
from rstar_fast.tree import Tree


def measure_models(
    config: SearchConfig,
    policy: str,
    ppm: str | None,
    workers: int,
    problems: list[Problem],
    repeats: int,
    profile: str | None,
) -> dict[str, Any]:
    """Search the problems, print a table and return its medians.

    Args:
        config: How to search.
        policy: Folder or hub name of the policy, or "embedded".
        ppm: Folder of the PPM, or "embedded". None for a search without scores.
        workers: Number of processes that run steps.
        problems: Problems. The first two only start the workers, and the repeats share the rest.
        repeats: Number of measured searches.
        profile: Path of a trace of the last repeat. None for no trace.
    """
    warm_up, parts = problems[:2], [problems[2 + i :: repeats] for i in range(repeats)]
    with open_searcher(config, policy, ppm, workers=workers) as searcher:
        list(searcher.search(warm_up))  # starts every worker
        runs = [_measure(searcher, part) for part in parts[:-1]]
        with profiled(searcher, profile):
            runs.append(_measure(searcher, parts[-1]))
    return _report(runs)


def _measure(searcher: Searcher, problems: list[Problem]) -> dict[str, Any]:
    """Search the problems once and return the rates."""
    forget_peak()
    held, before, started = resident_bytes(), totals(searcher), time.perf_counter()
    trees = list(searcher.search(problems))
    wall_s, after = time.perf_counter() - started, totals(searcher)
    done = [tree for tree in trees if isinstance(tree, Tree)]
    if len(done) < len(problems):
        raise SystemExit(
            f"{len(problems) - len(done)} of {len(problems)} problems failed: no result"
        )
    return {
        "problems_per_s": len(done) / wall_s,
        "expansions_per_s": sum(tree.counts["expansions"] for tree in done) / wall_s,
        "tokens_per_s": sum(tree.counts["generated_tokens"] for tree in done) / wall_s,
        "programs_per_s": sum(tree.counts.get("run_requests", 0) for tree in done) / wall_s,
        "peak_kb_per_problem": (peak_bytes() - held)
        / min(len(problems), searcher.config.max_active)
        / 1024,
        "resources": breakdown(before, after, wall_s),
    }


def _report(runs: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [name for name in runs[0] if name != "resources"]
    print(f"\n{'':24}{'median':>12}{'min':>12}{'max':>12}   ({len(runs)} repeats)")
    for name in rates:
        values = [run[name] for run in runs]
        print(f"{name:24}{statistics.median(values):12.2f}{min(values):12.2f}{max(values):12.2f}")
    resources = {
        name: {
            column: statistics.median(run["resources"][name][column] for run in runs)
            for column in COLUMNS
        }
        for name in RESOURCES
    }
    print(
        f"{'medians by resource':24}{'busy':>12}{'starved':>12}{'requests/s':>12}{'mean batch':>12}"
    )
    for name, row in resources.items():
        print(
            f"{name:24}{row['busy']:12.1%}{row['starved']:12.1%}"
            f"{row['requests_per_s']:12.2f}{row['mean_batch']:12.2f}",
            flush=True,
        )
    return {
        **{name: statistics.median(run[name] for run in runs) for name in rates},
        "resources": resources,
    }
