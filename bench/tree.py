"""How fast is the tree core, and how much faster than objects in plain Python?

    python bench/tree.py [--quick]

One simulation is one `select` from the root to an unexpanded leaf, one `expand` of it by 32
children with their scores, as a PPM scores every new node, and one `backup` of a value. All trees
do their simulation in the same three calls. Scores and values are uniform in [-1, 1]. The rows
compare:

- numbers of trees and weights of exploration c;
- the instruction sets, and one and two threads;
- "in one call": `simulate` in place of the three calls;
- memory that was used before, as in a search, and "fresh memory";
- "unscored" children: an unvisited child has UCT 0 and a visited one nearly always more, so walks
  go down one long chain;
- one object per node in plain Python.

All of them must grow the same trees, or there is no result.

Times are those of the processor, because the machine may be shared. Only the row with threads uses
the wall clock. Every repeat runs every row once. The last line is one JSON document about the row
of 256 trees with c = 2: `sims_per_s_per_core, bytes_per_node, python_sims_per_s`.
"""

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from lib.card import print_card
from lib.plain_tree import PlainNode, simulate
from numpy.typing import NDArray

from rstar_fast._core import Forest, simd_level, simd_levels, use_simd_level

CHILDREN = 32
SCORE_SETS = 4
"""Number of sets that scores are taken from in turn.

Few sets stay in the cache, as scores do that a model has just computed.
"""


@dataclass
class Work:
    """Everything that is added to the trees.

    Attributes:
        trees: Number of trees.
        sims: Number of simulations in each tree.
        c: Weight of exploration.
        scored: Whether children get scores.
        in_one: Whether `simulate` makes the three calls in one.
        scores: First values of children, float64 [SCORE_SETS, trees * CHILDREN].
        values: Values that are backed up, float64 [sims, trees].
    """

    trees: int
    sims: int
    c: float
    scored: bool = True
    in_one: bool = False

    def __post_init__(self) -> None:
        random = np.random.default_rng(0)
        self.scores = random.uniform(-1, 1, (SCORE_SETS, self.trees * CHILDREN))
        self.values = random.uniform(-1, 1, (self.sims, self.trees))

    @property
    def nodes_per_tree(self) -> int:
        """Room that each tree needs, nodes."""
        return (self.sims + 1) * CHILDREN


def grow(forest: Forest, work: Work) -> NDArray[np.int32]:
    """Make the trees, do all simulations and return the tree ids."""
    trees = forest.new_trees(work.trees)
    roots = trees * np.int32(forest.nodes_per_tree)
    counts = np.full(work.trees, CHILDREN, np.int32)
    moves = np.full(work.trees, work.sims, np.int32)
    for sim in range(work.sims):
        if not (work.in_one and sim):
            leaves, _ = forest.select(roots, moves, work.c)
        scores = work.scores[sim % SCORE_SETS] if work.scored else None
        if work.in_one and sim + 1 < work.sims:
            _, leaves, _ = forest.simulate(
                leaves, counts, scores, work.values[sim], roots, moves, work.c
            )
            continue
        forest.expand(leaves, counts, scores)
        forest.backup(leaves, work.values[sim])
    return trees


def grow_plain(work: Work, tree: int) -> PlainNode:
    """Grow one of the trees as objects and return its root."""
    root = PlainNode()
    scores = [row[tree * CHILDREN : (tree + 1) * CHILDREN].tolist() for row in work.scores]
    for sim in range(work.sims):
        simulate(root, work.c, scores[sim % SCORE_SETS], float(work.values[sim, tree]))
    return root


def check(work: Work) -> None:
    """End the bench unless all implementations grow the same trees."""
    grown = []
    for level in simd_levels():
        for threads, in_one in ((1, False), (2, False), (1, True)):
            use_simd_level(level)
            forest = Forest(work.trees, work.nodes_per_tree)
            forest.threads = threads
            grow(forest, replace(work, in_one=in_one))
            grown.append(
                [(forest.visits(tree), forest.value_sums(tree)) for tree in range(work.trees)]
            )
    use_simd_level(simd_levels()[0])
    for other in grown[1:]:
        for (visits, sums), (visits_too, sums_too) in zip(grown[0], other, strict=True):
            if not (np.array_equal(visits, visits_too) and np.array_equal(sums, sums_too)):
                raise SystemExit(
                    "two instruction sets, numbers of threads or kinds of calls grew different "
                    "trees: no result"
                )
    for tree in range(0, work.trees, max(1, work.trees // 4)):
        visits, total = grown[0][tree][0], sorted(grown[0][tree][0])
        if sorted(plain_visits(grow_plain(work, tree))) != total:
            raise SystemExit(
                f"tree {tree} of {len(visits)} nodes has other visits in plain Python: no result"
            )


def plain_visits(root: PlainNode) -> list[int]:
    """Return the visits of every node."""
    visits, nodes = [], [root]
    while nodes:
        node = nodes.pop()
        visits.append(node.visits)
        nodes += node.children
    return visits


class Row:
    """One row of the table.

    Attributes:
        name: What is measured.
        run: Function that does the work. It returns the number of simulations and their seconds.
        rates: Simulations per second of every repeat.
    """

    def __init__(self, name: str, run: Callable[[], tuple[int, float]]) -> None:
        self.name = name
        self.run = run
        self.rates: list[float] = []

    def measure(self) -> None:
        """Do the work once and note its rate."""
        sims, seconds = self.run()
        self.rates.append(sims / seconds)

    @property
    def median(self) -> float:
        """Median rate, simulations per second."""
        return statistics.median(self.rates)

    def __str__(self) -> str:
        low, high = np.quantile(self.rates, [0.1, 0.9])
        rates = f"{self.median:14,.0f}{low:14,.0f}{high:14,.0f}"
        return f"{self.name:44}{rates}{1e9 / self.median:12,.0f}"


def forest_row(name: str, work: Work, forest: Forest, level: str, threads: int = 1) -> Row:
    """Return a row of the core that uses one forest again and again."""

    def run() -> tuple[int, float]:
        use_simd_level(level)
        forest.threads = threads
        clock = time.process_time if threads == 1 else time.perf_counter
        started = clock()
        trees = grow(forest, work)
        seconds = clock() - started
        forest.free_trees(trees)
        return work.trees * work.sims, seconds

    return Row(name, run)


def fresh_row(work: Work) -> Row:
    """Return a row of the core that makes a new forest every time."""

    def run() -> tuple[int, float]:
        use_simd_level(simd_levels()[0])
        started = time.process_time()
        grow(Forest(work.trees, work.nodes_per_tree), work)
        return work.trees * work.sims, time.process_time() - started

    return Row(f"{work.trees} trees, c = {work.c:g}, fresh memory", run)


def plain_row(work: Work) -> Row:
    """Return a row of plain Python."""

    def run() -> tuple[int, float]:
        started = time.process_time()
        grow_plain(work, 0)
        return work.sims, time.process_time() - started

    return Row(f"plain Python, 1 tree, c = {work.c:g}", run)


def plain_bytes_per_node(work: Work) -> float:
    """Return the memory of a node in plain Python, bytes."""
    tracemalloc.start()
    root = grow_plain(work, 0)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(plain_visits(root))


def main() -> None:
    """Check, measure, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument("--repeats", type=int)
    args = parser.parse_args()
    sims, many_sims, repeats = (400, 100, 3) if args.quick else (400, 400, 11)
    repeats = args.repeats or repeats

    check(Work(64, 100, 2.0))
    check(Work(8, 200, 0.1))
    best = simd_levels()[0]
    main_work = Work(256, sims, 2.0)
    forest = Forest(main_work.trees, main_work.nodes_per_tree)
    few_work = Work(16, sims, 2.0)
    few = Forest(few_work.trees, few_work.nodes_per_tree)
    one = Forest(1, main_work.nodes_per_tree)
    many = [Work(4096, many_sims, c) for c in (2.0, 0.1)]
    many_forest = Forest(4096, many[0].nodes_per_tree)
    headline = forest_row("256 trees, c = 2", main_work, forest, best)
    python = plain_row(Work(1, sims, 2.0))
    rows = [
        headline,
        *(
            forest_row(f"256 trees, c = {c:g}", Work(256, sims, c), forest, best)
            for c in (0.5, 0.1)
        ),
        *(
            forest_row(f"256 trees, c = 2, {level}", main_work, forest, level)
            for level in simd_levels()[1:]
        ),
        fresh_row(main_work),
        *(
            forest_row(
                f"{work.trees} trees, c = 2{', in one call' * work.in_one}", work, some, best
            )
            for work, some in (
                (replace(main_work, in_one=True), forest),
                (few_work, few),
                (replace(few_work, in_one=True), few),
            )
        ),
        *(forest_row(f"1 tree, c = {c:g}", Work(1, sims, c), one, best) for c in (2.0, 0.5, 0.1)),
        *(forest_row(f"4096 trees, c = {work.c:g}", work, many_forest, best) for work in many),
        *(
            forest_row(f"4096 trees, c = 2, {n} threads, wall time", many[0], many_forest, best, n)
            for n in (2,)
        ),
        forest_row(
            "256 trees, c = 2, unscored", Work(256, sims // 4, 2.0, scored=False), forest, best
        ),
        python,
        plain_row(Work(1, sims, 0.1)),
    ]
    print_card(
        simd=", ".join(simd_levels()),
        children=CHILDREN,
        sims=sims,
        sims_of_4096=many_sims,
        repeats=repeats,
    )
    # Warm up: touch the memory of every forest.
    for row in rows:
        row.run()
    for _ in range(repeats):
        for row in rows:
            row.measure()

    trees = grow(forest, main_work)
    nodes = sum(forest.num_nodes(int(tree)) for tree in trees)
    bytes_per_node = forest.memory_bytes / nodes
    plain_bytes = plain_bytes_per_node(Work(1, sims, 2.0))
    trees = grow(many_forest, many[0])
    most_nodes = sum(many_forest.num_nodes(int(tree)) for tree in trees)
    many_forest.verify()
    print(f"\n{'simulations per second':44}{'median':>14}{'p10':>14}{'p90':>14}{'ns each':>12}")
    for row in rows:
        print(row)
    print(f"\n{'bytes a node, core (memory / nodes)':44}{bytes_per_node:14.1f}")
    print(f"{'bytes a node, plain Python':44}{plain_bytes:14.1f}")
    print(f"{'nodes in one forest, verified':44}{most_nodes:14,}")
    print(f"{'core / plain Python':44}{headline.median / python.median:14,.0f}")
    print(
        json.dumps(
            {
                "sims_per_s_per_core": round(headline.median),
                "bytes_per_node": round(bytes_per_node, 1),
                "python_sims_per_s": round(python.median),
                "simd": simd_level(),
            }
        )
    )


if __name__ == "__main__":
    main()
