"""Compare forests with their oracle on random calls, for a time.

    python -m tests.soak.fuzzed_core [--minutes 10] [--seed 0]

Some calls are wrong: repeated, new and foreign ids, counts and values out of range. Every call must
get the same answer or refusal from both, and a refused one must change nothing. Another seed goes
on from the last one that was printed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from forest_fuzz import compare

NUM_CALLS = 250


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first forest")
    args = parser.parse_args()
    seed, refused, end = args.seed, 0, time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            refused += compare(seed, Path(folder), NUM_CALLS)
            seed += 1
    calls = (seed - args.seed) * NUM_CALLS
    print(f"{calls:,} calls, {refused:,} of them refused; seeds {args.seed}..{seed - 1}")


if __name__ == "__main__":
    main()
