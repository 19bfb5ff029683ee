"""How long do run folders of many trees take to continue and to look at?

    python bench/index.py [--quick] [--trees N ...] [--nodes 24] [--dir DIR]

The trees are made up: 24 nodes of 30 tokens, or as many as asked for. The first thousand are
written as a search writes them, each on disk before the next. The others are written without
waiting for the disk. Then these are timed, each in a process of its own from its start to its end,
with its peak memory: `resume` (the run is opened for writing, all problems are compared and
counted), `rstar-fast show RUN`, `rstar-fast show RUN ID`, and the last two without the index, when
all records have to be read. The last line is one JSON document. A node takes 0.8 kB on disk, so
50,000 trees of 24 nodes need 1 GB, and 747,000 of 4 need 2.5 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from random import Random
from unittest.mock import patch

from lib.card import print_card

from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder
from rstar_fast.tree import Node, Tree

SYNCED = 1000
RESUME = """
import sys
from rstar_fast.problems import Problem
from rstar_fast.search.run import Totals
from rstar_fast.store import RunFolder
totals = Totals()
with RunFolder.open(sys.argv[1], {}) as folder:
    number = len(folder.done)
    folder.check(Problem(f"problem-{i}", f"How much is {i}?", str(i)) for i in range(number))
    for summary in folder.summaries():
        totals.add(summary)
assert totals.trees == number
"""
SHOW = [sys.executable, "-m", "rstar_fast", "show"]


def made_up(number: int, num_nodes: int, random: Random) -> Tree:
    """Return a tree in which every node has two children, and the last four answers."""
    nodes = [Node(0, -1, 0, q=0.5, visits=num_nodes)]
    for i in range(1, num_nodes):
        parent = (i - 1) // 2
        final = i >= num_nodes - 4
        node = Node(
            i,
            parent,
            nodes[parent].depth + 1,
            f"<code>\n# Step {i}: take a part of it\nx{i} = {number} + {i}\nprint(x{i})\n",
            observation="",
            status="ok",
            end="answer" if final else "",
            answer=str(number + i % 2) if final else "",
            correct=i % 2 == 0 if final else None,
            score=random.random(),
            q=random.random(),
            visits=3,
            spent=30 * i,
        )
        node.token_ids = random.choices(range(150_000), k=30)
        node.logprobs = [-random.random() for _ in range(30)]
        nodes.append(node)
    counts = {"generated_tokens": 30 * (num_nodes - 1)}
    problem = Problem(f"problem-{number}", f"How much is {number}?", str(number))
    return Tree(problem, nodes, 0, {"total": 12.5}, counts)


def fill(run: Path, num_trees: int, num_nodes: int) -> tuple[float, float]:
    """Write a run folder.

    Returns:
        Milliseconds for a tree that is on disk before the next, and for one that is not waited for.
    """
    random = Random(0)
    # Making trees takes longer than writing them, so a few stand for all.
    shapes = [made_up(0, num_nodes, random) for _ in range(64)]
    spent = []
    with RunFolder.open(run, {}) as folder:
        trees = (
            Tree(
                Problem(f"problem-{i}", f"How much is {i}?", str(i)),
                shapes[i % len(shapes)].nodes,
                i,
                {"total": 12.5},
                {"generated_tokens": 30 * (num_nodes - 1)},
            )
            for i in range(num_trees)
        )
        for count, fsync in ((SYNCED, os.fsync), (num_trees, lambda fd: None)):
            with patch("os.fsync", fsync):
                started = time.perf_counter()
                written = sum(folder.append(tree) is None for tree in islice(trees, count))
                spent.append(1000 * (time.perf_counter() - started) / max(written, 1))
    return spent[0], spent[1]


def timed(command: list[str], out: Path) -> dict[str, float]:
    """Run a command to its end.

    Returns:
        Seconds of wall time and of processor time, and peak memory in MB.
    """
    started = time.perf_counter()
    with out.open("wb") as file:
        child = subprocess.Popen(command, stdout=file)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def measure(folder: Path, num_trees: int, num_nodes: int) -> dict[str, dict[str, float]]:
    """Fill a run folder and time all that reads it."""
    run, out = folder / "run", folder / "out"
    synced_ms, unsynced_ms = fill(run, num_trees, num_nodes)
    size = sum(path.stat().st_size for path in run.glob("trees*.jsonl")) / 1e6
    index = (run / "index.jsonl").stat().st_size / 1e6
    print(
        f"\n{num_trees:,} trees, {size:,.0f} MB and {index:,.0f} MB of index; "
        f"append {synced_ms:.2f} ms, {unsynced_ms:.2f} ms without waiting for the disk"
    )
    print(f"{'':24}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")
    one = f"problem-{num_trees // 2}"
    rows: dict[str, dict[str, float]] = {}
    for name, command in (
        ("resume", [sys.executable, "-c", RESUME, str(run)]),
        ("show RUN", [*SHOW, str(run)]),
        ("show RUN ID", [*SHOW, str(run), one]),
        ("show RUN, no index", [*SHOW, str(run)]),
        ("show RUN ID, no index", [*SHOW, str(run), one]),
    ):
        if "no index" in name:
            (run / "index.jsonl").unlink(missing_ok=True)
        rows[name] = timed(command, out)
        wall_s, cpu_s, peak = rows[name].values()
        print(f"{name:24}{wall_s:9.2f}{cpu_s:9.2f}{peak:9.0f}", flush=True)
        if name.startswith("show RUN") and "ID" not in name:
            assert out.read_bytes().count(b"problem-") == num_trees
    return {
        "append": {
            "synced_ms": synced_ms,
            "unsynced_ms": unsynced_ms,
            "mb": size,
            "index_mb": index,
        },
        **rows,
    }


def main() -> None:
    """Measure, print the tables and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only 5,000 trees")
    parser.add_argument("--trees", type=int, nargs="+", default=[50_000], metavar="N")
    parser.add_argument("--nodes", type=int, default=24, help="number of nodes of a tree")
    parser.add_argument(
        "--dir", type=Path, help="folder to make the run folders in (a temporary one)"
    )
    args = parser.parse_args()
    counts = [5_000] if args.quick else args.trees
    print_card(nodes=args.nodes)
    found = {}
    if args.dir:
        args.dir.mkdir(parents=True, exist_ok=True)
    for num_trees in counts:
        with tempfile.TemporaryDirectory(dir=args.dir) as folder:
            found[num_trees] = measure(Path(folder), num_trees, args.nodes)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
