"""The step executor: programs a second beside bare forks, siblings from a snapshot beside running the beginning again.

    python bench/execute.py [--quick] [--workers 2] [--pages huge|4k] [--python]

Rates are per second of processor time, that of all processes together, so that they hold on a busy machine too; wall rates stand
beside them. All sides take turns; medians of the repeats. Every program differs from every other. Prints a card, tables and, as
the last line, one JSON document.
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
from rstar_fast.verify.execute.zygote_options import ZygoteOptions

TRACES = Path(__file__).parents[1] / "tests" / "data" / "traces.jsonl"
CUBIC = "<code>\nfrom sympy import *\nx = symbols('x')\nprint(solve(Eq(x**3 - {i}*x**2 + 11*x - 7, 0), x)[0])\n<end_of_code>"
TRIVIAL = "<code>\nx = {i}\nprint(x + 1)\n<end_of_code>"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="programs at once in the table of latencies"
    )
    parser.add_argument(
        "--pages", choices=["huge", "4k"], default="huge", help="of every side's heap"
    )
    parser.add_argument("--python", action="store_true", help="the executor's path without C++")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
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
    """The process of bench/lib/bare_fork.py."""

    def __init__(self, setup: dict[str, Any]) -> None:
        options = ZygoteOptions("stdout", 0, PRELOAD, None, **asdict(Limits()), **setup)
        packages = [
            ":".join(sys.modules[name].__path__) for name in ("rstar_fast", "rstar_fast.verify")
        ]
        command = [
            sys.executable,
            str(Path(__file__).parent / "lib" / "bare_fork.py"),
            *packages,
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
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer


def programs_and_forks(
    executor: Executor, other: Other, repeats: int, count: int
) -> dict[str, float]:
    """Programs and bare forks, in turns."""
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
        print(
            f"{name:18}{per_cpu_s[name]:16.0f}{statistics.median(row[1] for row in values):14.0f}{per_cpu_s[name] / bare:16.2f}"
        )
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
    """Run programs one after another as fast as one worker can."""
    pids = executor.report()["pids"]
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s(pids)
    observations = executor.run_many([program.replace("{i}", str(i))] for i in numbers)
    wall_s = time.perf_counter() - begin_s
    time.sleep(0.05)  # the last ones are still ending
    assert all(observation.status == "ok" for observation in observations), observations[0]
    return {"wall_s": wall_s, "cpu_s": cpu_s(pids) - begin_cpu_s}


def cpu_s(pids: dict[str, list[int]]) -> float:
    """Processor time of this process, of the supervisor with all programs that ended, and of the zygotes."""
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
    """The last step of a program, many times: from a snapshot, from its beginning in a fresh fork, in a warm process."""
    *beginning, last = steps

    def one(on: Executor, number: int) -> float:
        begin_s = time.perf_counter()
        assert (
            on.run([*beginning, last.replace("<end_of_code>", f"# {number}\n<end_of_code>")]).status
            == "ok"
        )
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
    """Trivial programs one at a time, alone and beside a program that never ends."""
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
            row[f"{name}_p50_ms"], row[f"{name}_p99_ms"] = (
                round(times[count // 2], 2),
                round(times[count * 99 // 100], 2),
            )
            print(
                f"latency {name:14} p50 {row[f'{name}_p50_ms']:8.2f} ms   p99 {row[f'{name}_p99_ms']:8.2f} ms"
            )
            executor.submit(["import os\nwhile True: pass"])
    return row


def print_isolation(isolation: dict[str, str]) -> None:
    missing = [name for name, reason in isolation.items() if reason]
    without = f"; without {', '.join(missing)}" if missing else ""
    print(f"{'isolation':16}{len(isolation) - len(missing)} of {len(isolation)} means{without}")


def print_traces(by_trace: dict[str, dict[str, float]]) -> None:
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
