"""Memory of many trees held at once, in this process: texts, tokens and statistics.

    python bench/memory.py [--quick] [--active N] [--candidates N] [--rollouts N] [--step-tokens N]

Every tree is searched to its last rollout with engines that answer at once (steps of `simulated.write`, a token id and a
log-probability for each token), and none is let go. Prints a card, a line and, as the last line, one JSON document.
"""

import argparse
import gc
import itertools
import json
import time

import numpy as np
from card import print_card
from schedule import resident_bytes
from simulated import endless_problems, write

from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.search import Search
from rstar_fast.seeding import draw_key
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--active", type=int, default=4096)
    parser.add_argument("--candidates", type=int, default=32)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--step-tokens", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.active = 128
    config = SearchConfig(candidates=args.candidates, rollouts=args.rollouts, max_depth=8, max_active=args.active)
    print_card(config=config.to_dict(), step_tokens=args.step_tokens)
    gc.collect()
    before, started = resident_bytes(), time.perf_counter()
    search = Search(config)
    trees = grow(search, args.active, args.step_tokens)
    gc.collect()
    nodes, held = sum(len(tree.nodes) for tree in trees), resident_bytes() - before
    seconds = time.perf_counter() - started
    print(f"\n{len(trees):,} trees, {nodes:,} nodes: {held / 2**30:.2f} GiB, {held / nodes:,.0f} bytes per node ({seconds:.0f} s)")
    print(json.dumps({"trees": len(trees), "nodes": nodes, "bytes": held, "bytes_per_node": held / nodes}))


def grow(search: Search, count: int, step_tokens: int) -> list[Tree]:
    """Search the first problems of the endless stream, all at once."""
    search.add(itertools.islice(endless_problems(), count))
    ended = []
    while not search.done:
        work = search.ask()
        for request in work.expand:
            keys = [draw_key(0, request.problem_id, request.node, i) for i in range(request.num_candidates)]
            steps = tuple(write(key, len(request.path), step_tokens) for key in keys)
            search.tell(request.id, Expansion(request.id, steps))
        for run in work.run:
            search.tell(run.id, Observation(Status.OK, ""))
        for grade in work.grade:
            search.tell(grade.id, Grade(grade.answer in grade.problem.answers))
        for score in work.score:
            values = [draw_key(0, child, 0, 0) % 2001 / 1000 - 1 for child in score.children]
            search.tell(score.id, Scores(score.id, np.array(values)))
        ended += search.finished()
    return [tree for tree in ended if isinstance(tree, Tree)]


if __name__ == "__main__":
    main()
