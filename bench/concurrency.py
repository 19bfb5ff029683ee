"""How many requests are in flight with a slow engine, and how long does a search take?

    python bench/concurrency.py [--quick] [--problems N] [--median SECONDS]

The engine is a server that only sleeps. A request takes a log-normal time that is keyed by the
request, so every side has the same work. Sixteen problems are searched at once, each with one
request at a time. Four sides take turns, and grow the same trees:

- lock step: `FunctionPolicy` with `concurrency=1`. A call has all requests that wait, and lasts as
  long as the slowest of them.
- threads, coroutines: 32 calls at once, of a plain and of an async function of one request.
- ideal: no run, but the time that the requests take if no problem ever waits for anything else.

"In flight" are the requests that the engine works on, by its own count, "open" those that the
search waits for, and "idle" is the share of the time in which none is open. The bench prints
medians over the repeats and, as the last line, one JSON document.
"""

import argparse
import asyncio
import heapq
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import Any

from lib.card import print_card

from rstar_fast import FunctionPolicy, SearchConfig, Searcher, Tree
from rstar_fast.bench.machine import Machine
from rstar_fast.bench.simulated import (
    InstantVerifier,
    SimulatedRunner,
    SimulatedScorer,
    endless_problems,
    write,
)
from rstar_fast.policy import Candidate, ExpandRequest
from rstar_fast.seeding import stream

SIGMA = 0.5
"""Spread of the logarithm of a request's time. One in twenty takes 2.3 times the median."""
INSTANT = Machine(
    scores_per_s=1e9, score_latency_s=0.0, workers=1, program_s=0.0, slow_share=0.0, slow_s=0.0
)
SIDES = ("lock step", "threads", "coroutines")


class Sleeper:
    """An engine that sleeps.

    Attributes:
        taken_s: Seconds that the requests of each problem take, one after another.
    """

    def __init__(self, median_s: float) -> None:
        self.taken_s: defaultdict[str, float] = defaultdict(float)
        self._median_s = median_s

    def policy(self, side: str) -> FunctionPolicy:
        """Return a policy that asks the engine in the way of a side."""
        if side == "lock step":
            return FunctionPolicy(self._ask_all, concurrency=1)
        return FunctionPolicy(self._ask if side == "threads" else self._ask_async, batch=None)

    def _begin(self, request: ExpandRequest) -> float:
        """Return the seconds that a request takes."""
        seconds = self._median_s * stream(request.draw_key(0)).lognormal(0.0, SIGMA)
        self.taken_s[request.problem_id] += seconds
        return seconds

    def _ask_all(self, requests: list[ExpandRequest]) -> list[list[Candidate]]:
        time.sleep(max(map(self._begin, requests)))
        return list(map(_written, requests))

    def _ask(self, request: ExpandRequest) -> list[Candidate]:
        time.sleep(self._begin(request))
        return _written(request)

    async def _ask_async(self, request: ExpandRequest) -> list[Candidate]:
        await asyncio.sleep(self._begin(request))
        return _written(request)


def _written(request: ExpandRequest) -> list[Candidate]:
    keys = map(request.draw_key, range(request.num_candidates))
    return [write(key, len(request.path), 5) for key in keys]


def measure(
    side: str, engine: Sleeper, config: SearchConfig, num_problems: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Search by one side. Returns the figures, and the nodes of the trees by problem."""
    clock = time.process_time()
    with closing(SimulatedRunner(INSTANT)) as runner:
        searcher = Searcher(
            engine.policy(side),
            config,
            SimulatedScorer(INSTANT),
            runner=runner,
            verifier=InstantVerifier(),
        )
        problems = islice(endless_problems(), num_problems)
        ended = list(searcher.search(problems))
    trees = {one.problem.key: one.nodes for one in ended if isinstance(one, Tree)}
    activity = searcher.stats.resources["policy"]
    figures = {
        "wall_s": searcher.stats.wall_s,
        "in_flight": sum(engine.taken_s.values()) / searcher.stats.wall_s,
        "open": activity.open_seconds / searcher.stats.wall_s,
        "idle": 1 - activity.open_s / searcher.stats.wall_s,
        "cpu_s": time.process_time() - clock,
        "requests": activity.requests,
    }
    return figures, trees


def ideal(engine: Sleeper, places: int) -> dict[str, float]:
    """Return the figures of a search in which nothing but the engine takes time.

    Args:
        engine: Engine that was asked once for everything.
        places: Number of problems at once.
    """
    ends = [0.0] * places
    # They are drawn in their order, each when a place is free.
    for problem in sorted(engine.taken_s, key=lambda key: int(key[1:])):
        heapq.heapreplace(ends, ends[0] + engine.taken_s[problem])
    return {"wall_s": max(ends), "in_flight": sum(engine.taken_s.values()) / max(ends)}


def main() -> None:
    """Measure, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--median", type=float, default=0.2, help="seconds of a request")
    args = parser.parse_args()
    repeats, rollouts = (1, 2) if args.quick else (3, 4)
    num_problems = min(args.problems, 24) if args.quick else args.problems
    config = SearchConfig(candidates=4, rollouts=rollouts, max_depth=8, max_active=16)
    print_card(repeats=repeats, problems=num_problems, median_s=args.median)
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    expected: dict[str, Any] = {}
    for _ in range(repeats):
        for side in SIDES:
            engine = Sleeper(args.median)
            figures, trees = measure(side, engine, config, num_problems)
            runs[side].append(figures)
            expected = expected or trees
            if trees != expected or len(trees) != num_problems:
                raise SystemExit(f"{side}: other trees than lock step")
    rows = {side: _medians(found) for side, found in runs.items()}
    rows["ideal"] = ideal(engine, config.max_active)
    _print_table(rows)
    print(json.dumps({"sides": rows, "repeats": repeats, "problems": num_problems}))


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def _print_table(rows: dict[str, dict[str, float]]) -> None:
    columns: dict[str, Callable[[float], str]] = {
        "wall_s": "{:.1f}".format,
        "in_flight": "{:.1f}".format,
        "open": "{:.1f}".format,
        "idle": "{:.1%}".format,
        "cpu_s": "{:.2f}".format,
        "requests": "{:.0f}".format,
    }
    print("\n" + " " * 12 + "".join(f"{name:>12}" for name in columns))
    for side, row in rows.items():
        cells = [shown(row[name]) if name in row else "" for name, shown in columns.items()]
        print(f"{side:12}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
