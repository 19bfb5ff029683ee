"""What one expansion costs beside the model and the programs: the Python and C++ of the search, from `ask` to the last `tell`.

    python bench/expansion.py [--quick]

A made-up engine answers at once with steps that were written beforehand; only time inside `Search` counts, on the processor's
clock. "steady" leaves out the first expansion of every tree. The last line is one JSON document: `us_per_expansion` and
`bytes_per_node` (objects and texts of live trees, by tracemalloc, the forest's own memory added) by number of children.
"""

import argparse
import cProfile
import json
import pstats
import statistics
import time
import tracemalloc
from typing import Any

import numpy as np
from card import print_card

from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Candidate, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.verify.base import Observation, Status


class Engine:
    """Answers that cost nothing: every expansion gets `candidates` steps of some 100 characters and 30 tokens."""

    def __init__(self, candidates: int) -> None:
        self.candidates = tuple(
            Candidate(
                f"\n# Step: add the {i}-th part to what was found before\ntotal_{i} = total + {i} * part_{i}<end_of_step>",
                tuple(range(i, i + 30)),
                (-0.5,) * 30,
            )
            for i in range(candidates)
        )
        self.scores = np.random.default_rng(0).uniform(-1, 1, (64, candidates))
        self.observation = Observation(Status.OK, "")

    def answers(self, work: Any) -> list[tuple[int, Any]]:
        """(request id, result) of everything asked for."""
        expanded = [(one.id, Expansion(one.id, self.candidates)) for one in work.expand]
        run = [(one.id, self.observation) for one in work.run]
        scored = [(one.id, Scores(one.id, self.scores[one.node % 64, : len(one.children)])) for one in work.score]
        return expanded + run + scored


def search(children: int, problems: int, rollouts: int) -> Search:
    config = SearchConfig(candidates=children, rollouts=rollouts, max_depth=8, max_active=problems)
    found = Search(config)
    found.add(Problem(str(i), "What is the sum of all parts?") for i in range(problems))
    return found


def drive(searched: Search, engine: Engine, stop_after: int | None = None) -> tuple[int, float]:
    """Expansions done, and the seconds inside the search."""
    expansions, spent, clock = 0, 0.0, time.process_time
    while not searched.done and (stop_after is None or expansions < stop_after):
        started = clock()
        work = searched.ask()
        spent += clock() - started
        expansions += len(work.expand)
        answers = engine.answers(work)
        tell = searched.tell
        started = clock()
        for request_id, result in answers:
            tell(request_id, result)
        spent += clock() - started
    return expansions, spent


def bytes_per_node(children: int, problems: int, rollouts: int) -> float:
    """Of trees that are being searched, all in memory."""
    engine = Engine(children)
    expansions, _ = drive(search(children, problems, rollouts), engine)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    searched = search(children, problems, rollouts)
    drive(searched, engine, stop_after=expansions * 3 // 4)
    nodes = sum(len(active.tree.nodes) for active in searched._active.values())
    size = tracemalloc.get_traced_memory()[0] - before + searched._forest.memory_bytes
    tracemalloc.stop()
    return size / nodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
    parser.add_argument("--profile", action="store_true", help="what the time of 32 children consists of")
    args = parser.parse_args()
    problems, rollouts, repeats = (32, 4, 5) if args.quick else (64, 8, 15)
    sizes = (8, 32)
    print_card(problems=problems, rollouts=rollouts, repeats=repeats)
    times: dict[int, list[float]] = {children: [] for children in sizes}
    for repeat in range(repeats + 1):
        for children in sizes:
            expansions, seconds = drive(search(children, problems, rollouts), Engine(children))
            if repeat:
                times[children].append(seconds / expansions * 1e6)
    print(f"\n{'us an expansion':20}{'median':>10}{'p10':>10}{'p90':>10}{'bytes a node':>16}")
    memory = {children: bytes_per_node(children, problems, rollouts) for children in sizes}
    for children in sizes:
        low, high = np.quantile(times[children], [0.1, 0.9])
        print(
            f"{children:3} children{'':8}{statistics.median(times[children]):10.1f}{low:10.1f}{high:10.1f}{memory[children]:16,.0f}"
        )
    if args.profile:
        profile = cProfile.Profile()
        searched, engine = search(32, problems, rollouts), Engine(32)
        profile.runcall(drive, searched, engine)
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)
    medians = {str(children): round(statistics.median(times[children]), 1) for children in sizes}
    print(json.dumps({"us_per_expansion": medians, "bytes_per_node": {str(n): round(size) for n, size in memory.items()}}))


if __name__ == "__main__":
    main()
