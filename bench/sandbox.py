"""What does a program cost through the server, against a fresh `python` and a warm executor?

    python bench/sandbox.py [--quick] [--repeats 3]

The first table has three ways to run one script: `POST /run_code` of `rstar-fast sandbox`, a warm
`Executor` in the client's own process, and a fresh `python` per script. The ways take turns. 1, 16
and 64 clients ask one script after another; no two scripts are equal. At most as many fresh
processes run at once as there are processors. The second table shows harmless scripts while every
tenth script is hostile. The third compares one step of a session with a run of the whole program.

Rates are per second of wall time. `cpu ms` is processor time of everything but the clients of the
server, per script; it says more on a busy machine. Every script's output is checked. The last line
is one JSON document.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lib.card import print_card

from rstar_fast.verify import Executor, Limits

PROGRAMS = {
    "trivial": "print(int(input()) * 7)",
    "numpy": (
        "import numpy as np\nn = int(input())\n"
        "print(round(float(np.linalg.solve(np.eye(8) * 2, np.full(8, 14 * n))[0])))"
    ),
    "sympy": (
        "from sympy import *\nn, x = int(input()), symbols('x')\n"
        "print(max(solve(x**2 - 6*n*x - 7*n**2, x)) if n else 0)"
    ),
}
HOSTILE = (
    "while True: pass",
    "while True: print('x' * 1000)",
    "hoard = []\nwhile True: hoard.append(bytearray(10**7))",
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "import ctypes\nctypes.string_at(0)",
)
PREFIX = (
    "from sympy import *\nx = symbols('x')\n"
    "roots = [solve(x**3 - k*x**2 + 11*x - 7, x) for k in range(1, 5)]\n"
)
STEP = "print({number} * 7, len(roots))\n"
CLIENTS = (1, 16, 64)
JSON = "application/json"
COUNTS = {"server": 100, "executor": 100, "fresh python": 20}
"""Number of scripts of each way a repeat, or of clients if that is more."""
QUICK_COUNTS = {"server": 16, "executor": 16, "fresh python": 4}
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Run = Callable[[str, int], str]
"""Function that runs a script with a number as its input, and returns its output."""


class Server:
    """A server in a process of its own, and its clients, one connection a thread."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "rstar_fast", "sandbox", "--port", "0", "--unconfined"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline().split(",")[0].rpartition(":")[2])
        self._local = threading.local()

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        """Post an object and return the one that comes back."""
        data = json.dumps(fields)
        for _ in range(2):
            if not hasattr(self._local, "connection"):
                self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
            try:
                self._local.connection.request("POST", path, data, {"content-type": JSON})
                found: dict[str, Any] = json.loads(self._local.connection.getresponse().read())
                return found
            except ConnectionError:
                # The server ends connections that were idle for long.
                del self._local.connection
        raise ConnectionError(f"{path}: the server hung up twice")

    def run(self, code: str, number: int, run_timeout: float = 60) -> str:
        """Run a script."""
        reply = self.post(
            "/run_code", code=code, language="python", stdin=str(number), run_timeout=run_timeout
        )
        return str((reply["run_result"] or {}).get("stdout"))

    def cpu_s(self) -> float:
        """Return the processor seconds of the server and all its processes that ended."""
        return sum([_ticks(pid) * TICK_S for pid in _family(self._process.pid)])

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                yield from _family(int(child))


def _ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        return sum(
            map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15])
        )
    return 0


def fresh(free: threading.Semaphore) -> Run:
    """Return a function that runs a script in a fresh interpreter."""

    def run(code: str, number: int) -> str:
        with free:
            done = subprocess.run(
                [sys.executable, "-c", code], input=str(number), capture_output=True, text=True
            )
        return done.stdout

    return run


def measured(run: Run, code: str, clients: int, numbers: range) -> tuple[float, list[float]]:
    """Run scripts, check what they print, and return the wall time and each script's latency."""

    def one(number: int) -> float:
        begin_s = time.perf_counter()
        printed = run(f"{code}\n# {number}", number)
        took_s = time.perf_counter() - begin_s
        assert printed == f"{number * 7}\n", printed
        return took_s

    with ThreadPoolExecutor(clients) as pool:
        begin_s = time.perf_counter()
        latencies = list(pool.map(one, numbers))
        return time.perf_counter() - begin_s, latencies


def quantiles(latencies: list[float]) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds."""
    ordered = sorted(latencies)
    return 1e3 * ordered[len(ordered) // 2], 1e3 * ordered[len(ordered) * 99 // 100]


def scripts(server: Server, executor: Executor, repeats: int, quick: bool) -> Any:
    """Measure the three ways in turns, print the table and return the rows."""
    counts = QUICK_COUNTS if quick else COUNTS
    processors = len(os.sched_getaffinity(0))
    pids = executor.report()["pids"]["supervisor"]
    ways: dict[str, tuple[Run, Callable[[], float]]] = {
        "server": (server.run, server.cpu_s),
        "executor": (
            lambda code, number: executor.run_script(code, str(number)).stdout,
            lambda: time.process_time() + sum([_ticks(p) * TICK_S for p in _family(pids[0])]),
        ),
        "fresh python": (
            fresh(threading.Semaphore(processors)),
            lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]),
        ),
    }
    print(
        f"\n{'program':10}{'clients':>8}  {'way':14}{'per s':>9}{'p50 ms':>10}{'p99 ms':>10}"
        f"{'cpu ms':>9}{'rate / fresh':>14}{'cpu: fresh /':>14}"
    )
    rows = []
    for program, code in PROGRAMS.items():
        for clients in CLIENTS:
            found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            latencies: dict[str, list[float]] = {way: [] for way in ways}
            for repeat in range(repeats):
                for way, (run, cpu_s) in ways.items():
                    count = counts[way] if quick else max(counts[way], clients)
                    before_s = cpu_s()
                    wall_s, some = measured(
                        run, code, clients, range(repeat + 1, repeat + 1 + count)
                    )
                    # The last processes are still ending.
                    time.sleep(0.1)
                    found[way].append((count / wall_s, 1e3 * (cpu_s() - before_s) / count))
                    latencies[way] += some
            for way in ways:
                rate, cpu_ms = (
                    statistics.median(values) for values in zip(*found[way], strict=True)
                )
                ratios = [
                    statistics.median(a[i] / b[i] for a, b in zip(*pair, strict=True))
                    for i, pair in enumerate(
                        ((found[way], found["fresh python"]), (found["fresh python"], found[way]))
                    )
                ]
                p50, p99 = quantiles(latencies[way])
                print(
                    f"{program:10}{clients:8}  {way:14}{rate:9.1f}{p50:10.1f}"
                    f"{p99:10.1f}{cpu_ms:9.1f}{ratios[0]:14.1f}{ratios[1]:14.1f}"
                )
                rows.append(
                    {"program": program, "clients": clients, "way": way, "per_s": round(rate, 1)}
                    | {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
                    | {"cpu_ms": round(cpu_ms, 2), "n": len(latencies[way])}
                    | {"rate_to_fresh": round(ratios[0], 2), "cpu_of_fresh": round(ratios[1], 2)}
                )
    return rows


def among_hostile(server: Server, count: int) -> dict[str, float]:
    """Measure harmless scripts of 16 clients, alone and with a tenth of hostile ones."""
    row: dict[str, float] = {}
    for name, share in (("alone", 0.0), ("tenth_hostile", 0.1)):
        draws = random.Random(7)
        hostile = [draws.random() < share for _ in range(count)]
        latencies: list[float] = []

        def one(number: int, is_hostile: bool, latencies: list[float] = latencies) -> None:
            begin_s = time.perf_counter()
            if is_hostile:
                server.run(HOSTILE[number % len(HOSTILE)], number, run_timeout=1)
                return
            assert server.run(f"{PROGRAMS['trivial']}\n#{number}", number) == f"{number * 7}\n"
            latencies.append(time.perf_counter() - begin_s)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, range(count), hostile))
        row[f"{name}_p50_ms"], row[f"{name}_p99_ms"] = quantiles(latencies)
        print(
            f"harmless scripts, {name.replace('_', ' '):14} p50 {row[f'{name}_p50_ms']:8.1f} ms   "
            f"p99 {row[f'{name}_p99_ms']:8.1f} ms   n {len(latencies)}"
        )
    return row


def forks(server: Server, count: int) -> dict[str, float]:
    """Measure a sibling step of a session, and the whole program as a script, in turns."""
    session = server.post("/sessions")["session"]
    state = server.post(f"/sessions/{session}/run", code=PREFIX, timeout=60)["state"]
    times: dict[str, list[float]] = {"sibling": [], "rerun": []}
    for number in range(count):
        step = STEP.format(number=number)
        begin_s = time.perf_counter()
        told = server.post(f"/sessions/{session}/run", **{"code": step, "from": state})
        middle_s = time.perf_counter()
        printed = server.run(PREFIX + step, 0)
        times["rerun"].append(time.perf_counter() - middle_s)
        times["sibling"].append(middle_s - begin_s)
        assert told["text"] == printed.strip() == f"{number * 7} 4"
    sibling, rerun = (1e3 * statistics.median(values) for values in times.values())
    ratio = statistics.median(
        whole / step for whole, step in zip(times["rerun"], times["sibling"], strict=True)
    )
    print(
        f"\nsibling step {sibling:.1f} ms, whole program {rerun:.1f} ms: {ratio:.1f} times, "
        f"n {count}"
    )
    return {"sibling_ms": sibling, "rerun_ms": rerun, "ratio": ratio}


def main() -> None:
    """Measure, print the tables and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.repeats = 1
    print_card(server="asyncio and h11", repeats=args.repeats)
    server = Server()
    try:
        with Executor(limits=Limits(wall_s=60)) as executor:
            executor.run_script("")
            server.run("", 0)
            rows = scripts(server, executor, args.repeats, args.quick)
        print()
        hostile = among_hostile(server, 100 if args.quick else 400)
        sessions = forks(server, 5 if args.quick else 30)
    finally:
        server.close()
    print(json.dumps({"scripts": rows, "hostile": hostile, "sessions": sessions}))


if __name__ == "__main__":
    main()
