"""What one expansion costs beside the model and the programs: the Python and C++ of the search, from `ask` to the last `tell`.

    python bench/expansion.py [--quick] [--profile]

A made-up engine answers at once with steps that were written beforehand, each time as new objects; only time inside `Search`
counts, on the processor's clock. Problems follow one another without end, and what is measured begins when the first have ended:
planting and finishing trees is part of it, and so is the garbage collector. The last line is one JSON document: `us_per_expansion`
by number of children.
"""

import argparse
import cProfile
import itertools
import json
import pstats
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from lib.card import print_card

from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Candidate, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.verify.base import Observation, Status

PARTS = {
    "ask": "hand out requests, plant trees",
    "expand": "candidates become children: texts looked at, tokens packed, programs asked for",
    "run": "observations noted, scores asked for",
    "score": "scores noted and added, the next node selected, a tree finished at its end",
}
"""What the time is spent in: `ask`, and `tell` by what was answered."""


class Engine:
    """Answers that cost nothing: every expansion gets `children` steps of some 100 characters and 30 tokens."""

    def __init__(self, children: int) -> None:
        self.texts = [
            f"\n# Step: add the {i}-th part to what was found before\ntotal_{i} = total + {i} * part_{i}<end_of_step>"
            for i in range(children)
        ]
        self.scores = np.random.default_rng(0).uniform(-1, 1, (64, children))

    def expand(self, request: Any) -> Expansion:
        tokens, logprobs = tuple(range(1000, 1030)), (-0.5,) * 30
        # A hash is kept with a text, so that only a new text costs what it does in a search.
        candidates = tuple(Candidate(f"{text} ", tokens, logprobs) for text in self.texts)
        return Expansion(request.id, candidates)

    def run(self, request: Any) -> Observation:
        return Observation(Status.OK, "")

    def score(self, request: Any) -> Scores:
        return Scores(request.id, self.scores[request.node % 64, : len(request.children)])


def drive(
    searched: Search, problems: Iterator[Problem], engine: Engine, expansions: int
) -> dict[str, float]:
    """Let at least so many expansions be done: the seconds inside the search by part, and the number of `expansions`."""
    spent, done, clock = dict.fromkeys(PARTS, 0.0), 0, time.process_time
    while done < expansions:
        searched.add(itertools.islice(problems, searched.config.max_active - searched.num_active))
        started = clock()
        work = searched.ask()
        spent["ask"] += clock() - started
        done += len(work.expand)
        for kind, requests in (("expand", work.expand), ("run", work.run), ("score", work.score)):
            answer = getattr(engine, kind)
            answers = [(request.id, answer(request)) for request in requests]
            tell = searched.tell
            started = clock()
            for request_id, result in answers:
                tell(request_id, result)
            spent[kind] += clock() - started
        searched.finished()
    return {**spent, "expansions": done}


def measure(
    children: int, expansions: int, profile: cProfile.Profile | None = None
) -> dict[str, float]:
    """Microseconds per expansion by part, in the steady state."""
    config = SearchConfig(candidates=children, rollouts=8, max_depth=8, max_active=32)
    searched, engine = Search(config), Engine(children)
    problems = (Problem(str(i), "What is the sum of all parts?") for i in itertools.count())
    while drive(searched, problems, engine, 1) and len(searched._known) < 2 * config.max_active:
        pass
    if profile is not None:
        profile.enable()
    spent = drive(searched, problems, engine, expansions)
    if profile is not None:
        profile.disable()
    return {part: spent[part] / spent["expansions"] * 1e6 for part in PARTS}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
    parser.add_argument(
        "--profile", action="store_true", help="the functions that the time of 32 children goes to"
    )
    args = parser.parse_args()
    expansions, repeats = (600, 5) if args.quick else (2000, 15)
    sizes = (8, 32)
    print_card(expansions=expansions, repeats=repeats)
    runs: dict[int, list[dict[str, float]]] = {children: [] for children in sizes}
    for _ in range(repeats):
        for children in sizes:
            runs[children].append(measure(children, expansions))
    totals = {children: sorted(sum(run.values()) for run in runs[children]) for children in sizes}
    print(
        f"\n{'us an expansion':10}{'':8}"
        + "".join(f"{f'{children} children':>14}" for children in sizes)
    )
    for name, quantile in (("best", 0.0), ("median", 0.5), ("p90", 0.9)):
        print(
            f"{name:18}"
            + "".join(f"{np.quantile(totals[children], quantile):14.1f}" for children in sizes)
        )
    for part, meaning in PARTS.items():
        medians = [statistics.median(run[part] for run in runs[children]) for children in sizes]
        print(f"  {part:16}" + "".join(f"{median:14.1f}" for median in medians) + f"   {meaning}")
    if args.profile:
        profile = cProfile.Profile()
        measure(32, expansions, profile)
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)
    print(
        json.dumps(
            {
                "us_per_expansion": {
                    str(children): round(statistics.median(totals[children]), 1)
                    for children in sizes
                }
            }
        )
    )


if __name__ == "__main__":
    main()
