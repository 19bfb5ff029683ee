"""Many programs of all kinds, side by side: every one is answered, and the good ones rightly.

    PYTHONPATH=tests/support python -m tests.soak.mixed_programs [--programs N] [--wall S]

10% of the programs time out, 5% crash, 5% take too much memory and 2% attack other programs. The
rest is harmless, and must give what each program gives alone. Neither processes nor descriptors nor
the supervisor's memory may grow.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hostile

from rstar_fast.verify import Executor, Limits, Observation, Status

WORKERS = 2
BATCH = 500
ATTACKS = (
    "asks to be replayed",
    "asks to be replayed, continued",
    "greets in place of a clone",
    "greets wrongly",
    "greets and lies",
    "claims that there is no room",
    "clones itself",
    "hops from clone to clone",
    "memory of many clones",
    "thousands of threads",
    "goes on as a snapshot",
    "never clones",
)
Steps = tuple[str, ...]


def late(i: int) -> tuple[Steps, str]:
    return (f"import time\n# {i}\ntime.sleep(60)" if i % 2 else f"while True: pass  # {i}",), ""


def crashing(i: int) -> tuple[Steps, str]:
    return (f"import os, ctypes\n# {i}\n{('os._exit(3)', 'ctypes.string_at(0)')[i % 2]}",), ""


def hungry(i: int) -> tuple[Steps, str]:
    return (f"x = []\nwhile True: x.append(bytearray(1 << 20))  # {i}",), ""


def attacking(i: int) -> tuple[Steps, str]:
    first, *rest = hostile.steps(ATTACKS[i % len(ATTACKS)])
    return (f"{first}\n# {i}" if not rest else first.replace("\n", f"\n# {i}\n", 1), *rest), ""


def harmless(i: int) -> tuple[Steps, str]:
    """Return the steps of a program that is right, and what it shows."""
    if i % 10 == 0:
        source = f"from sympy import *\nx = symbols('x')\nprint(expand((x + {i}) * (x - {i})))"
        return (source,), f"x**2 - {i * i}" if i else "x**2"
    if i % 3 == 0:
        steps = f"<code>\nx = {i % 30}\n<end_of_step>", "\ny = x + 1\n<end_of_step>"
        return (*steps, f"\nprint(y, {i})\n<end_of_code>"), f"{i % 30 + 1} {i}"
    return (f"print({i} + 1)",), str(i + 1)


KINDS: dict[str, tuple[float, Callable[[int], tuple[Steps, str]], set[Status]]] = {
    "late": (0.10, late, {Status.TIMEOUT}),
    "crashing": (0.05, crashing, {Status.CRASH}),
    "hungry": (0.05, hungry, {Status.MEMORY}),
    "attacking": (0.02, attacking, set(Status) - {Status.LOST}),
    "harmless": (0.78, harmless, {Status.OK}),
}


def is_right(kind: str, expected: str, observation: Observation) -> bool:
    return observation.status in KINDS[kind][2] and (
        kind != "harmless" or observation.text == expected
    )


def resident_mb(pid: int | str) -> float:
    line = next(
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    return int(line.split()[1]) / 1024


def main(num_programs: int, wall_s: float, seed: int) -> int:
    """Run the programs and print how they ended. Returns the exit status."""
    draw = random.Random(seed)
    names, shares = list(KINDS), [share for share, _, _ in KINDS.values()]
    kinds = draw.choices(names, shares, k=num_programs)
    statuses: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    rows: list[tuple[int, float, float]] = []
    limits = Limits(wall_s=wall_s, memory_bytes=128 << 20)
    with Executor(workers=WORKERS, limits=limits, snapshot_bytes=64 << 20) as executor:
        executor.run_many([["1"]] * 8)
        before, begin_s = hostile.state(executor), time.monotonic()
        for begin in range(0, num_programs, BATCH):
            batch = []
            for i in range(begin, min(begin + BATCH, num_programs)):
                steps, expected = KINDS[kinds[i]][1](i)
                batch.append((kinds[i], expected, executor.submit(steps)))
            for kind, expected, future in batch:
                observation = future.result()
                statuses[kind, observation.status.value] += 1
                if not is_right(kind, expected, observation):
                    faults.append(f"{kind}, expected {expected!r}: {observation}")
            report = executor.report()
            (supervisor,) = report["pids"]["supervisor"]
            rows.append(
                (len(report["pids"]["snapshots"]), resident_mb(supervisor), resident_mb("self"))
            )
            print(
                f"{begin + len(batch):6} programs, {time.monotonic() - begin_s:5.0f} s: supervisor "
                f"{supervisor}, {rows[-1][1]:.1f} MB; main {rows[-1][2]:.1f} MB; "
                f"{rows[-1][0]} snapshots of {report['snapshot_bytes'] >> 20} MiB; "
                f"{len(faults)} faults",
                flush=True,
            )
        time.sleep(3)
        after = hostile.state(executor)
    for (kind, status), count in sorted(statuses.items()):
        print(f"{kind:10} {status:10} {count:6}")
    print(f"before {dict(before)}\nafter  {dict(after)}")
    for fault in faults[:50]:
        print("FAULT", fault)
    half = len(rows) // 2
    grew_mb = rows[-1][1] - rows[half][1]
    print(f"the supervisor grew by {grew_mb:.1f} MB in the second half")
    return 1 if faults or before != after or grew_mb > 16 else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--wall", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sys.exit(main(args.programs, args.wall, args.seed))
