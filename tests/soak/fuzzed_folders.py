"""Damage run folders, evolutions and problem files at random, and look at them, for a time.

    python -m tests.soak.fuzzed_folders [--minutes 10] [--seed 0]

Bits are flipped, files cut, lines moved, values replaced by odd ones. What is read of them must be
refused by an error that names the file, or shown as clean text. Anything else ends the program with
the seed that shows it.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from damage import fuzz


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first damage")
    args = parser.parse_args()
    seed, named, end = args.seed, 0, time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            try:
                named += fuzz(Path(folder), Random(seed))
            except BaseException:
                print(f"seed {seed}:", file=sys.stderr)
                raise
            seed += 1
    print(f"{seed - args.seed:,} damages, {named:,} named; seeds {args.seed}..{seed - 1}")


if __name__ == "__main__":
    main()
