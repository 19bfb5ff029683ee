"""How much memory do many trees take that are searched at once?

    python bench/memory.py [--quick] [--active N] [--candidates N] [--rollouts N] [--step-tokens N]

The memory is that of this process: texts, tokens and statistics. Every tree is searched to its last
rollout with engines that answer at once with the steps of `simulated.write`, a token id and a
log-probability for each token. The answers are never graded, so all trees are still active at the
end. The bench prints a card, the parts of the memory and, as the last line, one JSON document.
"""

import argparse
import gc
import itertools
import json
import sys
import time

import numpy as np
from lib.card import print_card

from rstar_fast.bench.resident import resident_bytes
from rstar_fast.bench.simulated import endless_problems, write
from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.search import Search
from rstar_fast.seeding import draw_key
from rstar_fast.verify.base import Observation, Status


def main() -> None:
    """Grow the trees, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--active", type=int, default=4096)
    parser.add_argument("--candidates", type=int, default=32)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--step-tokens", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.active = 128
    config = SearchConfig(
        candidates=args.candidates, rollouts=args.rollouts, max_depth=8, max_active=args.active
    )
    print_card(config=config.to_dict(), step_tokens=args.step_tokens)
    gc.collect()
    before, started = resident_bytes(), time.perf_counter()
    search = Search(config)
    grow(search, args.active, args.step_tokens)
    gc.collect()
    held, seconds = resident_bytes() - before, time.perf_counter() - started
    nodes = [node for active in search._active.values() for node in active.tree.nodes]
    tokens = sum(len(node.id_bytes) for node in nodes) // 4
    parts = {
        "node objects": sum(sys.getsizeof(node) + sys.getsizeof(node.score) for node in nodes),
        "token ids, logprobs": sum(
            sys.getsizeof(node.id_bytes) + sys.getsizeof(node.logprob_bytes) for node in nodes
        ),
        "texts of steps": sum(sys.getsizeof(node.step) for node in nodes),
        "statistics (forest)": search._forest.memory_bytes,
    }
    parts["all else"] = held - sum(parts.values())
    print(
        f"\n{search.num_active:,} active trees, {len(nodes):,} nodes, {tokens:,} tokens "
        f"({seconds:.0f} s)"
    )
    print(f"{'':24}{'MiB':>10}{'bytes/node':>12}")
    for name, size in {**parts, "in all (resident)": held}.items():
        print(f"{name:24}{size / 2**20:10,.0f}{size / len(nodes):12,.0f}")
    per_node = {name: round(size / len(nodes), 1) for name, size in parts.items()}
    counts = {"trees": search.num_active, "nodes": len(nodes), "tokens": tokens}
    print(
        json.dumps(
            {
                **counts,
                "bytes": held,
                "bytes_per_node": round(held / len(nodes), 1),
                "parts": per_node,
            }
        )
    )


def grow(search: Search, count: int, step_tokens: int) -> None:
    """Search the first `count` problems of the endless stream, all at once, up to their grades."""
    search.add(itertools.islice(endless_problems(), count))
    while work := search.ask():
        for request in work.expand:
            keys = [request.draw_key(i) for i in range(request.num_candidates)]
            steps = tuple(write(key, len(request.path), step_tokens) for key in keys)
            search.tell(request.id, Expansion(request.id, steps))
        for run in work.run:
            search.tell(run.id, Observation(Status.OK, ""))
        for score in work.score:
            values = [draw_key(0, child, 0, 0) % 2001 / 1000 - 1 for child in score.children]
            search.tell(score.id, Scores(score.id, np.array(values)))


if __name__ == "__main__":
    main()
