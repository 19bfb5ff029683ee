"""What does it cost to keep what engines tell, so that a killed search goes on in its trees?

    python bench/recording.py [--quick] [--simulate]

The same search is done with and without a `Recording`, in turns, in one process. The first form
runs the embedded models and real programs, with trees of 64 rollouts. With `--simulate` engines
answer from a script at the pace of a large machine (`simulated.Machine`), so that little but the
search itself takes processor time. The bench prints the processor time of this process for an
expansion, and the part of it that the recording took by its own clock: medians over the repeats.
The last line is one JSON document.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from lib.card import print_card

from rstar_fast.bench.engines import open_bench
from rstar_fast.bench.machine import SIMULATE, Machine
from rstar_fast.bench.simulated import endless_problems
from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.answers import Answer
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.live import LiveTree
from rstar_fast.search.naming import EMBEDDED
from rstar_fast.search.recording import Recording
from rstar_fast.search.work import Request
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree


class Timed(Recording):
    """A recording that counts the processor time of its thread.

    Attributes:
        spent_s: Seconds spent so far.
    """

    spent_s = 0.0

    def note(self, tree: LiveTree, request: Request, answer: Answer) -> None:
        """Take in one answer."""
        started = time.thread_time()
        super().note(tree, request, answer)
        self.spent_s += time.thread_time() - started

    def flush(self) -> None:
        """Write all answers that are not written yet."""
        started = time.thread_time()
        super().flush()
        self.spent_s += time.thread_time() - started


def cost(
    searcher: Searcher, problems: Iterable[Problem], record: bool, seconds: float
) -> tuple[float, float, float]:
    """Search for a time, or to the end of the problems.

    Args:
        searcher: Searcher with its engines.
        problems: Problems. They may be endless.
        record: Whether to keep what engines tell.
        seconds: Seconds of wall time after which to stop.

    Returns:
        Microseconds of processor time for an expansion, of the whole process and of the recording
        alone (with its clock), and expansions per second.
    """
    policy = searcher.stats.resources["policy"]
    with tempfile.TemporaryDirectory() as path, RunFolder.open(Path(path) / "run", {}) as folder:
        recording = Timed(folder.checkpoints) if record else None
        before, started, clock = policy.requests, time.perf_counter(), time.process_time()
        stop = threading.Timer(seconds, searcher.close)
        stop.start()
        for ended in searcher.search(problems, recording):
            assert isinstance(ended, Tree)
            if recording is not None:
                recording.end(ended.problem.key)
        stop.cancel()
        spent, wall_s = time.process_time() - clock, time.perf_counter() - started
    expansions = policy.requests - before
    recorded_s = recording.spent_s if recording is not None else 0.0
    return spent / expansions * 1e6, recorded_s / expansions * 1e6, expansions / wall_s


def main() -> None:
    """Measure, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument("--simulate", action="store_true", help="search with simulated engines")
    args = parser.parse_args()
    repeats, seconds = (2, 6.0) if args.quick else (6, 15.0)
    rows: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    with ExitStack() as stack:
        if args.simulate:
            machine = Machine(slow_share=0.0)
            config = SearchConfig(candidates=8, rollouts=64, max_depth=8, max_active=64)
            searcher = stack.enter_context(open_bench(SIMULATE, config, machine))
        else:
            config = SearchConfig(candidates=8, rollouts=64, max_active=4)
            searcher = stack.enter_context(open_searcher(config, EMBEDDED, EMBEDDED, workers=2))
        print_card(repeats=repeats, seconds=seconds)
        for _ in range(repeats):
            for record in (False, True):
                problems = endless_problems() if args.simulate else held_out_problems(4, seed=1)
                rows[record].append(cost(searcher, problems, record, seconds))
    medians = {
        record: [statistics.median(column) for column in zip(*found, strict=True)]
        for record, found in rows.items()
    }
    print(f"\n{'':10}{'us/expansion':>14}{'of recording':>14}{'expansions/s':>14}")
    for record, (micros, recorded, rate) in medians.items():
        name = "recorded" if record else "not"
        print(f"{name:10}{micros:14.1f}{recorded:14.1f}{rate:14.1f}")
    ratios = [one[0] / other[0] for other, one in zip(*rows.values(), strict=True)]
    shares = [one[1] / one[0] for one in rows[True]]
    ratio, share = statistics.median(ratios), statistics.median(shares)
    print(f"processor time {ratio:.3f} times, by the recording's own clock {share:.2%} of it")
    print(json.dumps({"ratio": ratio, "ratios": ratios, "share": share}))


if __name__ == "__main__":
    main()
