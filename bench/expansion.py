"""How much processor time does one expansion cost, beside the models and the programs?

    python bench/expansion.py [--quick] [--profile]

The answer covers the Python and C++ of the search, from `ask` to the last `tell` of an expansion. A
made-up engine answers at once with steps that were written beforehand, each time as new objects.
Only time inside `Search` counts, on the processor's clock. Problems follow one another without end,
and measuring begins once the first ones have ended. So the making and finishing of trees is part of
the result, and so is the garbage collector.

The last rows tell what the search would gain if it called the forest for many trees at once. They
compare the calls of one tree at a time, as the search makes them, with calls for 64 trees, and both
must grow the same trees. "at most saved" is the share of an expansion that this could save if every
call found 64 trees ready.

The last line is one JSON document. Its `us_per_expansion` has one entry per number of children.
"""

import argparse
import cProfile
import itertools
import json
import pstats
import statistics
import time
from typing import Any

import numpy as np
from lib.card import print_card

from rstar_fast._core import Forest
from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Candidate, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.verify.base import Observation, Status

PARTS = {
    "ask": "hand out requests, make trees",
    "expand": "make children of candidates: read texts, pack tokens, ask for programs",
    "run": "note observations, ask for scores",
    "score": "note and add scores, select the next node, finish a tree at its end",
}
"""Parts of the time: `ask`, and `tell` by the kind of request that was answered."""
FOREST_ROWS = {
    "forest_us": "calls to the forest, part of the above, made again on their own",
    "one_tree_us": "select, expand and backup in calls for one tree",
    "many_trees_us": "select, expand and backup in calls for 64 trees",
}
"""Rows about the forest, microseconds of one expansion of one tree."""
SIZES = (8, 32)
"""Numbers of children that are measured."""
MANY_TREES = 64
SIMULATIONS = 40


class Engine:
    """Answers that cost nothing. Every expansion gets steps of about 100 characters and 30 tokens.

    Args:
        children: Number of steps for each expansion.
    """

    def __init__(self, children: int) -> None:
        self.texts = [
            f"\n# Step: add the {i}-th part to what was found before\n"
            f"total_{i} = total + {i} * part_{i}<end_of_step>"
            for i in range(children)
        ]
        self.scores = np.random.default_rng(0).uniform(-1, 1, (64, children))

    def expand(self, request: Any) -> Expansion:
        """Return the candidates for a node."""
        tokens, logprobs = tuple(range(1000, 1030)), (-0.5,) * 30
        # Python keeps the hash of a text, so the texts must be new, as they are in a search.
        candidates = tuple(Candidate(f"{text} ", tokens, logprobs) for text in self.texts)
        return Expansion(request.id, candidates)

    def run(self, request: Any) -> Observation:
        """Return the observation of a step."""
        return Observation(Status.OK, "")

    def score(self, request: Any) -> Scores:
        """Return the scores of the children of one node."""
        return Scores(request.id, self.scores[request.node % 64, : len(request.children)])


class RecordingForest:
    """A forest that keeps a list of its calls.

    Attributes:
        forest: Forest that the calls go to.
        calls: Method name, arguments and keyword arguments of every call.
    """

    def __init__(self, forest: Forest) -> None:
        self.forest = forest
        self.calls: list[tuple[str, list[Any], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            # The search uses some of its arrays again.
            copies = [one.copy() if isinstance(one, np.ndarray) else one for one in arguments]
            self.calls.append((name, copies, options))
            return getattr(self.forest, name)(*arguments, **options)

        return call


class SteadySearch:
    """A search in its steady state, with as many problems as it takes.

    Args:
        children: Number of children of every expansion.
        record: Whether to record the calls to the forest, which takes time.
    """

    def __init__(self, children: int, record: bool = False) -> None:
        config = SearchConfig(candidates=children, rollouts=8, max_depth=8, max_active=32)
        self.search, self.engine = Search(config), Engine(children)
        self.recorder = RecordingForest(self.search._forest)
        if record:
            self.search._forest = self.recorder  # type: ignore[assignment]
        self.problems = (
            Problem(str(i), "What is the sum of all parts?") for i in itertools.count()
        )
        while len(self.search._known) < 2 * config.max_active:
            self.drive(1)

    def drive(self, expansions: int) -> dict[str, float]:
        """Do at least this many expansions.

        Returns:
            Seconds inside the search by part, and the number of `expansions`.
        """
        search, engine, clock = self.search, self.engine, time.process_time
        spent, done = dict.fromkeys(PARTS, 0.0), 0
        while done < expansions:
            free = search.config.max_active - search.num_active
            search.add(itertools.islice(self.problems, free))
            started = clock()
            work = search.ask()
            spent["ask"] += clock() - started
            done += len(work.expand)
            kinds = (("expand", work.expand), ("run", work.run), ("score", work.score))
            for kind, requests in kinds:
                answer = getattr(engine, kind)
                answers = [(request.id, answer(request)) for request in requests]
                tell = search.tell
                started = clock()
                for request_id, result in answers:
                    tell(request_id, result)
                spent[kind] += clock() - started
            search.finished()
        return {**spent, "expansions": done}


def measure_parts(children: int, expansions: int) -> dict[str, float]:
    """Return the microseconds of an expansion by part."""
    spent = SteadySearch(children).drive(expansions)
    return {part: spent[part] / spent["expansions"] * 1e6 for part in PARTS}


def measure_forest(children: int, expansions: int) -> dict[str, float]:
    """Return the microseconds of an expansion in the forest, by the rows of `FOREST_ROWS`.

    `calls` in the result is the number of calls to the forest for one expansion.
    """
    steady = SteadySearch(children, record=True)
    forest = Forest(steady.recorder.forest.max_trees, steady.recorder.forest.nodes_per_tree)
    before = len(steady.recorder.calls)
    done = steady.drive(expansions)["expansions"]
    calls = [(getattr(forest, name), *given) for name, *given in steady.recorder.calls]
    for method, arguments, options in calls[:before]:
        method(*arguments, **options)
    started = time.process_time()
    for method, arguments, options in calls[before:]:
        method(*arguments, **options)
    forest_s = time.process_time() - started
    one_s, one = grow(children, 1)
    many_s, many = grow(children, MANY_TREES)
    for tree in range(MANY_TREES):
        if not np.array_equal(one.value_sums(tree), many.value_sums(tree)):
            raise SystemExit("calls for one tree and for many grew different trees: no result")
    return {
        "forest_us": forest_s / done * 1e6,
        "one_tree_us": one_s * 1e6,
        "many_trees_us": many_s * 1e6,
        "calls": (len(calls) - before) / done,
    }


def grow(children: int, trees_per_call: int) -> tuple[float, Forest]:
    """Grow `MANY_TREES` trees by calls for some of them at a time.

    Returns:
        Seconds of the three calls for one expansion of one tree, and the forest.
    """
    draw = np.random.default_rng(0)
    forest = Forest(MANY_TREES, (SIMULATIONS + 1) * children)
    roots = forest.new_trees(MANY_TREES) * np.int32(forest.nodes_per_tree)
    scores = draw.uniform(-1, 1, (SIMULATIONS, MANY_TREES * children))
    values = draw.uniform(-1, 1, (SIMULATIONS, MANY_TREES))
    moves = np.full(MANY_TREES, SIMULATIONS, np.int32)
    counts = np.full(MANY_TREES, children, np.int32)
    parts = [slice(i, i + trees_per_call) for i in range(0, MANY_TREES, trees_per_call)]
    calls = [
        (
            roots[part],
            moves[part],
            counts[part],
            score.reshape(-1, children)[part].ravel(),
            one[part],
        )
        for score, one in zip(scores, values, strict=True)
        for part in parts
    ]
    started = time.process_time()
    for starts, most, count, score, value in calls:
        leaves, _ = forest.select(starts, most, 2.0, claim=True)
        forest.expand(leaves, count, score)
        forest.backup(leaves, value)
    return (time.process_time() - started) / (SIMULATIONS * MANY_TREES), forest


def print_table(
    parts: dict[int, list[dict[str, float]]], forest: dict[int, dict[str, float]]
) -> None:
    """Print the microseconds of an expansion for each number of children."""

    def row(name: str, values: list[str], meaning: str = "") -> None:
        print(f"{name:18}" + "".join(f"{value:>14}" for value in values) + f"   {meaning}")

    print()
    row("us an expansion", [f"{children} children" for children in SIZES])
    totals = {children: [sum(run.values()) for run in parts[children]] for children in SIZES}
    for name, quantile in (("best", 0.0), ("median", 0.5), ("p90", 0.9)):
        row(name, [f"{np.quantile(totals[children], quantile):.1f}" for children in SIZES])
    for part, meaning in PARTS.items():
        medians = [statistics.median(run[part] for run in parts[children]) for children in SIZES]
        row(f"  {part}", [f"{median:.1f}" for median in medians], meaning)
    for name, meaning in FOREST_ROWS.items():
        row(name, [f"{forest[children][name]:.1f}" for children in SIZES], meaning)
    row("forest calls", [f"{forest[children]['calls']:.1f}" for children in SIZES])
    saved = []
    for children in SIZES:
        one = forest[children]
        gain = one["forest_us"] * (1 - one["many_trees_us"] / one["one_tree_us"])
        saved.append(gain / statistics.median(totals[children]))
    row("at most saved", [f"{share:.1%}" for share in saved], "by calls for 64 trees")


def main() -> None:
    """Measure, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument(
        "--profile", action="store_true", help="print where the time with 32 children goes"
    )
    args = parser.parse_args()
    expansions, repeats = (600, 5) if args.quick else (2000, 15)
    print_card(expansions=expansions, repeats=repeats)
    parts: dict[int, list[dict[str, float]]] = {children: [] for children in SIZES}
    runs: dict[int, list[dict[str, float]]] = {children: [] for children in SIZES}
    for _ in range(repeats):
        for children in SIZES:
            parts[children].append(measure_parts(children, expansions))
            runs[children].append(measure_forest(children, expansions))
    forest = {
        children: {name: statistics.median(run[name] for run in runs[children]) for name in first}
        for children, (first, *_) in runs.items()
    }
    print_table(parts, forest)
    if args.profile:
        steady = SteadySearch(SIZES[-1])
        with cProfile.Profile() as profile:
            steady.drive(expansions)
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)
    medians = {
        str(children): round(statistics.median(sum(run.values()) for run in parts[children]), 1)
        for children in SIZES
    }
    rounded = {
        str(children): {name: round(value, 2) for name, value in values.items()}
        for children, values in forest.items()
    }
    print(json.dumps({"us_per_expansion": medians, "forest": rounded}))


if __name__ == "__main__":
    main()
