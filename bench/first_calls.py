"""How long does the first call of a sympy function take in a program?

    python bench/first_calls.py [--quick]

Twenty kinds of calls, chosen by hand as what solutions in mathematics call most. Each is made as
the first thing in a process that was forked from one of two: one has only imported sympy, and one
has also done what a zygote does beforehand (`zygote.WARM_UP`, whose calls are others). The bench
prints the milliseconds of processor time of the first call and of the second, medians over the
repeats, in which the sides take turns; and what warming a process takes, in time and memory. The
last line is one JSON document.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from lib.card import print_card

SETUP = """
from sympy import *
x, y, n, k = symbols("x y n k")
M = Matrix([[4, 1, 2], [1, 3, 0], [2, 0, 5]])
"""
CALLS = {
    "solve, a quadratic": "solve(3*x**2 - 7*x + 2, x)",
    "solve, a cubic": "solve(x**3 - 6*x**2 + 11*x - 7, x)",
    "solve, a system": "solve([2*x + 3*y - 12, x**2 - y - 1], [x, y])",
    "solve, an inequality": "solve(x**2 - 3*x - 4 < 0, x)",
    "solveset": "solveset(x**2 - x - 6, x, S.Reals)",
    "simplify": "simplify((x**3 - 8)/(x**2 - 4) + sqrt(50))",
    "expand and factor": "factor(expand((x + 2)**3*(x - 1)))",
    "N": "N(sqrt(3)*pi/7, 15)",
    "nsimplify": "nsimplify(0.3125)",
    "diff": "diff(x**2*sin(3*x)/(x + 1), x)",
    "integrate": "integrate(x**2*exp(-2*x), x)",
    "integrate, definite": "integrate(x*cos(2*x), (x, 0, pi/4))",
    "limit": "limit((1 - cos(2*x))/x**2, x, 0)",
    "summation": "summation(k*(k + 3), (k, 1, n))",
    "Matrix.det and inv": "M.det(), M.inv()",
    "Matrix.eigenvals": "M.eigenvals()",
    "factorint": "factorint(2**31*1234567 - 1)",
    "isprime and primerange": "isprime(99991), list(primerange(90, 130))",
    "divisors and totient": "divisors(5040), totient(5040)",
    "mod_inverse and crt": "mod_inverse(17, 97), ntheory.modular.crt([7, 11], [3, 5])",
}


def serve(warm: bool) -> None:
    """Make every call in a process of its own, and print the times as JSON."""
    import sympy

    from rstar_fast.verify.execute.child.zygote import WARM_UP

    started, before = time.process_time(), _megabytes()
    if warm:
        exec(WARM_UP, {"sympy": sympy})
    # As a zygote does, so that a clone's collections do not touch, and copy, what is shared.
    gc.collect()
    gc.freeze()
    spent = {"": [1000 * (time.process_time() - started), _megabytes() - before]}
    for name, call in CALLS.items():
        reading, writing = os.pipe()
        if os.fork() == 0:
            names: dict[str, object] = {}
            exec(SETUP, names)
            code, times = compile(call, name, "eval"), []
            for _ in range(2):
                started = time.process_time()
                eval(code, names)
                times.append(1000 * (time.process_time() - started))
            os.write(writing, json.dumps(times).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            spent[name] = json.loads(file.read())
        os.wait()
    print(json.dumps(spent))


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, print the table and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument("--serve", choices=("imported", "warm"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve == "warm")
        return
    repeats = 2 if args.quick else 7
    print_card(repeats=repeats)
    rows: dict[str, list[dict[str, list[float]]]] = {"imported": [], "warm": []}
    for _ in range(repeats):
        for side, found in rows.items():
            command = [sys.executable, __file__, "--serve", side]
            found.append(json.loads(subprocess.check_output(command)))
    medians = {
        side: {
            name: [
                statistics.median(column)
                for column in zip(*(one[name] for one in found), strict=True)
            ]
            for name in found[0]
        }
        for side, found in rows.items()
    }
    spent_ms, spent_mb = medians["warm"].pop("")
    del medians["imported"][""]
    print(f"\n{'':26}{'imported':>10}{'warm':>8}{'again':>8}   ms of processor time")
    for name in CALLS:
        cold, (first, again) = medians["imported"][name][0], medians["warm"][name]
        print(f"{name:26}{cold:10.1f}{first:8.1f}{again:8.1f}")
    print(f"warming takes {spent_ms:,.0f} ms and {spent_mb:.1f} MB, once a zygote")
    print(json.dumps({**medians, "warming_ms": spent_ms, "warming_mb": spent_mb}))


if __name__ == "__main__":
    main()
