"""What share of a search is execution when its steps are heavy sympy programs?

    python bench/sympy_search.py [--quick] [--tokens-per-s 5000] [--candidates 8] [--rollouts 8]
                                 [--workers 2]

It compares an executor with snapshots and one that runs every program again from its beginning.
Each tree grows over one of the programs in tests/data/traces.jsonl. Every candidate of a node is
the program's next step with another comment at its end. A policy answers from that script at the
given rate. The two sides take turns, and the results are medians of the repeats. The bench prints a
card, a table and, as the last line, one JSON document.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from lib.card import print_card

from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import ExpandRequest, Expansion
from rstar_fast.policy.scripted import ScriptedPolicy
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.tree import Tree
from rstar_fast.verify import Executor, Limits

TRACES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "tests" / "data" / "traces.jsonl")
    .read_text()
    .splitlines()
]
CHARS_PER_TOKEN = 3
SIDES: dict[str, dict[str, Any]] = {"snapshots": {}, "run again": {"snapshot_bytes": 0}}


class PacedPolicy(ScriptedPolicy):
    """A policy that answers from the script at a given rate, over all requests together.

    Args:
        tokens_per_s: Rate of the policy.
    """

    def __init__(self, tokens_per_s: float) -> None:
        super().__init__(next_steps, batch=8)
        self._tokens_per_s = tokens_per_s

    def step(self) -> list[Expansion]:
        """Answer some requests, after the time that their tokens take."""
        begin_s = time.perf_counter()
        expansions = super().step()
        chars = sum(
            len(candidate.text) for expansion in expansions for candidate in expansion.candidates
        )
        time.sleep(
            max(0.0, chars / CHARS_PER_TOKEN / self._tokens_per_s - (time.perf_counter() - begin_s))
        )
        return expansions


def next_steps(request: ExpandRequest) -> list[str]:
    """Return the candidates for a request: variants of the next step, or answers at the end."""
    trace = TRACES[int(request.problem_id) % len(TRACES)]["steps"]
    depth = sum(
        segment.text.count("<end_of_step>") + segment.text.count("<end_of_code>")
        for segment in request.path
    )
    if depth == len(trace):
        return [
            f"<answer>The answer is \\boxed{{{i}}}.<end_of_answer>"
            for i in range(request.num_candidates)
        ]
    code, mark, end = trace[depth].rpartition("<end_of_")
    return [f"{code}# {i}\n{mark}{end}" for i in range(request.num_candidates)]


def main() -> None:
    """Measure both sides, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens-per-s", type=float, default=5000.0, help="rate of the policy")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--problems", type=int, default=8, help="problems per repeat")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", nargs="*", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.candidates, args.rollouts, args.problems, args.repeats = 4, 2, 4, 1
    config = SearchConfig.preset(
        "fast",
        candidates=args.candidates,
        rollouts=args.rollouts,
        use_scores=False,
        annotate_terminals_with_ground_truth=True,
    )
    print_card(**vars(args))
    rows: dict[str, list[dict[str, float]]] = {side: [] for side in args.sides}
    for _ in range(args.repeats):
        for side in args.sides:
            rows[side].append(measure(side, config, args))
    names = list(next(iter(rows.values()))[0])
    medians = {
        side: {name: statistics.median(row[name] for row in values) for name in names}
        for side, values in rows.items()
    }
    print("\n" + " " * 12 + "".join(f"{name:>24}" for name in names))
    for side, median in medians.items():
        print(f"{side:12}" + "".join(f"{median[name]:24.3f}" for name in names))
    print(json.dumps(medians))


def measure(side: str, config: SearchConfig, args: argparse.Namespace) -> dict[str, float]:
    """Do one search. Processor time is that of this process and of all that ended with it."""
    problems = [Problem(str(i), f"question {i}", ("1",)) for i in range(args.problems)]
    begin_cpu_s, begin_s = os.times(), time.perf_counter()
    with (
        Executor(args.workers, Limits(wall_s=30), config.observation, **SIDES[side]) as executor,
        Searcher(PacedPolicy(args.tokens_per_s), config, runner=executor) as searcher,
    ):
        executor.run(["1"])
        started_s = time.perf_counter()
        trees = list(searcher.search(problems))
        wall_s = time.perf_counter() - started_s
        resources = searcher.stats.record()["resources"]
    assert len(trees) == args.problems and all(isinstance(tree, Tree) for tree in trees), trees
    cpu_s = sum(os.times()[:4]) - sum(begin_cpu_s[:4])
    busy_s = {name: resources[name]["busy_s"] for name in ("policy", "execution")}
    return {
        "wall_s": wall_s,
        "programs": sum(tree.counts["run_requests"] for tree in trees),
        "execution_of_wall": busy_s["execution"] / wall_s,
        "policy_of_wall": busy_s["policy"] / wall_s,
        "cpu_s": cpu_s,
        "with_start_s": time.perf_counter() - begin_s,
    }


if __name__ == "__main__":
    main()
