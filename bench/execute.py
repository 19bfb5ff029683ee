"""How many programs does the step executor run per second, and what does a snapshot save?

    python bench/execute.py [--quick] [--workers 2] [--pages huge|4k] [--python]

The first table compares the executor's programs with bare forks of an equal process. The second
compares three ways to run the last step of a program: in a clone of a snapshot, from the beginning
of the program in a new clone, and from the beginning in a worker that is used again. The last lines
give the latency of a trivial program, alone and beside a program that never ends.

Rates are per second of the processor time of all processes together, so a busy machine does not
change them. Rates per second of wall time stand beside them. All sides take turns, and the results
are medians of the repeats. No two programs are equal. The bench prints a card, tables and, as the
last line, one JSON document.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lib.card import print_card

from rstar_fast.verify import Executor, Limits
from rstar_fast.verify.execute.executor import PRELOAD
from rstar_fast.verify.execute.source import source_of
from rstar_fast.verify.execute.supervisor.zygote_process import package_paths
from rstar_fast.verify.execute.zygote_options import ZygoteOptions

TRACES = Path(__file__).parents[1] / "tests" / "data" / "traces.jsonl"
CUBIC = (
    "<code>\nfrom sympy import *\nx = symbols('x')\n"
    "print(solve(Eq(x**3 - {i}*x**2 + 11*x - 7, 0), x)[0])\n<end_of_code>"
)
TRIVIAL = "<code>\nx = {i}\nprint(x + 1)\n<end_of_code>"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, print the tables and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        help="number of programs at once when latencies are measured",
    )
    parser.add_argument(
        "--pages",
        choices=["huge", "4k"],
        default="huge",
        help="size of the heap's pages on every side",
    )
    parser.add_argument(
        "--python", action="store_true", help="measure the executor without its C++ part"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.repeats = 3
    setup: dict[str, Any] = {"huge_pages": args.pages == "huge", "native": not args.python}

    with Executor(workers=1, **setup) as executor, Other(setup) as other:
        executor.run(["1"])
        report = executor.report()
        print_card(
            pages=args.pages,
            huge_pages_made=report["num_huge_pages"],
            cloning="python" if args.python else "C++",
        )
        print_isolation(report["isolation"])
        rates = programs_and_forks(executor, other, args.repeats, 100 if args.quick else 300)
        traces = [json.loads(line) for line in TRACES.read_text().splitlines()]
        with Executor(workers=1, snapshot_bytes=0, **setup) as rerunning:
            by_trace = {
                trace["name"]: siblings(trace["steps"], executor, rerunning, other, args.repeats)
                for trace in traces
            }
        print_traces(by_trace)
    latency = latencies(args.workers, setup, 100 if args.quick else 400)
    print(json.dumps({**rates, "traces": by_trace, "latency": latency}))


class Other:
    """The process of bench/lib/bare_fork.py.

    Args:
        setup: Options of the executor that the process shares.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        options = ZygoteOptions("stdout", 0, PRELOAD, None, **asdict(Limits()), **setup)
        command = [
            sys.executable,
            str(Path(__file__).parent / "lib" / "bare_fork.py"),
            *package_paths(),
            json.dumps(asdict(options)),
        ]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> "Other":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, *words: object) -> dict[str, float]:
        """Send a command and return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer


def programs_and_forks(
    executor: Executor, other: Other, repeats: int, count: int
) -> dict[str, float]:
    """Measure programs and bare forks in turns, print the table and return the rates."""
    sides: dict[str, Callable[[int], dict[str, float]]] = {
        "bare fork": lambda repeat: other.ask("fork", count),
        "trivial program": lambda repeat: timed(
            executor, TRIVIAL, range(repeat * count, (repeat + 1) * count)
        ),
        "sympy cubic": lambda repeat: timed(
            executor, CUBIC, range(repeat * count // 10, (repeat + 1) * count // 10)
        ),
    }
    counts = {"sympy cubic": count // 10}
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name, side in sides.items():
            seconds, number = side(repeat), counts.get(name, count)
            rows[name].append((number / seconds["cpu_s"], number / seconds["wall_s"]))
    print(f"\n{'one worker':18}{'per cpu second':>16}{'per second':>14}{'of bare forks':>16}")
    bare = statistics.median(row[0] for row in rows["bare fork"])
    per_cpu_s = {name: statistics.median(row[0] for row in values) for name, values in rows.items()}
    for name, values in rows.items():
        per_s = statistics.median(row[1] for row in values)
        print(f"{name:18}{per_cpu_s[name]:16.0f}{per_s:14.0f}{per_cpu_s[name] / bare:16.2f}")
    ratio = statistics.median(
        mine[0] / fork[0]
        for mine, fork in zip(rows["trivial program"], rows["bare fork"], strict=True)
    )
    return {
        "programs_per_s_per_core": round(per_cpu_s["trivial program"], 1),
        "bare_fork_per_s_per_core": round(bare, 1),
        "share_of_bare_fork": round(ratio, 3),
        "sympy_programs_per_s_per_core": round(per_cpu_s["sympy cubic"], 1),
    }


def timed(executor: Executor, program: str, numbers: range) -> dict[str, float]:
    """Run programs one after another in one worker and return the wall and processor seconds."""
    pids = executor.report()["pids"]
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s(pids)
    observations = executor.run_many([program.replace("{i}", str(i))] for i in numbers)
    wall_s = time.perf_counter() - begin_s
    # The processes of the last programs are still ending.
    time.sleep(0.05)
    assert all(observation.status == "ok" for observation in observations), observations[0]
    return {"wall_s": wall_s, "cpu_s": cpu_s(pids) - begin_cpu_s}


def cpu_s(pids: dict[str, list[int]]) -> float:
    """Return the processor seconds of this process, the supervisor and the zygotes.

    The supervisor's time includes all programs that ended.
    """
    total = time.process_time()
    for pid in pids["supervisor"] + pids["zygotes"]:
        total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    for pid in pids["supervisor"]:
        total += (
            sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]))
            * TICK_S
        )
    return total


def siblings(
    steps: list[str], executor: Executor, rerunning: Executor, other: Other, repeats: int
) -> dict[str, float]:
    """Measure the last step of a program in the three ways and return the medians.

    Args:
        steps: Steps of the program.
        executor: Executor with snapshots.
        rerunning: Executor without snapshots.
        other: Process that runs whole programs again and again.
        repeats: Number of repeats.
    """
    *beginning, last = steps

    def one(on: Executor, number: int) -> float:
        begin_s = time.perf_counter()
        new = last.replace("<end_of_code>", f"# {number}\n<end_of_code>")
        assert on.run([*beginning, new]).status == "ok"
        return (time.perf_counter() - begin_s) * 1e3

    one(executor, -1)
    samples: dict[str, list[float]] = {"sibling_ms": [], "rerun_ms": [], "reused_worker_ms": []}
    for repeat in range(repeats):
        samples["sibling_ms"] += [
            one(executor, number) for number in range(repeat * 8, repeat * 8 + 8)
        ]
        samples["rerun_ms"] += [one(rerunning, repeat)]
        samples["reused_worker_ms"] += [
            other.ask("run", 3, json.dumps(source_of(steps)))["wall_s"] / 3 * 1e3
        ]
    report = executor.report()
    row = {name: round(statistics.median(values), 2) for name, values in samples.items()}
    return {
        **row,
        "snapshot_mb": round(report["snapshot_bytes"] / max(1, report["num_snapshots"]) / 1e6, 2),
    }


def latencies(workers: int, setup: dict[str, Any], count: int) -> dict[str, float]:
    """Measure trivial programs one at a time, alone and beside a program that never ends."""
    row: dict[str, float] = {}
    with Executor(workers=workers + 1, limits=Limits(wall_s=600), **setup) as executor:
        executor.run(["1"])
        for name in ("alone", "beside_a_loop"):
            times = []
            for i in range(count):
                begin_s = time.perf_counter()
                executor.run([TRIVIAL.replace("{i}", f"{i} + len('{name}')")])
                times.append((time.perf_counter() - begin_s) * 1e3)
            times.sort()
            p50, p99 = round(times[count // 2], 2), round(times[count * 99 // 100], 2)
            row[f"{name}_p50_ms"], row[f"{name}_p99_ms"] = p50, p99
            print(f"latency {name:14} p50 {p50:8.2f} ms   p99 {p99:8.2f} ms")
            executor.submit(["import os\nwhile True: pass"])
    return row


def print_isolation(isolation: dict[str, str]) -> None:
    """Print how many means of isolation are in place, and which are missing."""
    missing = [name for name, reason in isolation.items() if reason]
    without = f"; without {', '.join(missing)}" if missing else ""
    print(f"{'isolation':16}{len(isolation) - len(missing)} of {len(isolation)} means{without}")


def print_traces(by_trace: dict[str, dict[str, float]]) -> None:
    """Print the table of the ways to run a last step."""
    names = ("sibling_ms", "rerun_ms", "reused_worker_ms", "snapshot_mb")
    print(
        f"\n{'last step':18}" + "".join(f"{name:>18}" for name in names) + f"{'reused/sibling':>18}"
    )
    for trace, row in by_trace.items():
        print(
            f"{trace:18}"
            + "".join(f"{row[name]:18.2f}" for name in names)
            + f"{row['reused_worker_ms'] / row['sibling_ms']:18.1f}"
        )
    print()


if __name__ == "__main__":
    main()
