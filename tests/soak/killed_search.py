"""Check that a search of big trees that is killed by an alarm loses no more than its last second.

    python -m tests.soak.killed_search --out DIR [--kills 200] [--problems 40] [--rollouts 400]

Nothing disturbs the search in DIR/unbroken. That in DIR/killed is killed at random moments and
started again. Its trees must be the same. No answer of an engine that was there before the last
flush may be asked for again. The exit status is 1 if that is not so.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import killed_search as killed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of both runs")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--rollouts", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    unbroken, broken, log = (args.out / name for name in ("unbroken", "killed", "killed.log"))
    killed.search_once(unbroken, args.out / "unbroken.log", args.problems, args.rollouts)
    kills = killed.kill_until_done(broken, log, args.problems, args.rollouts, args.kills, args.seed)
    expected, found = killed.trees(unbroken), killed.trees(broken)
    differ = [key for key in expected if expected[key] != found.get(key)]
    wrong, again, oldest = killed.asked_again(log)
    nodes = sum(len(one[0]) for one in expected.values())
    print(
        f"{kills} kills; {len(expected)} trees of {nodes / len(expected):,.0f} nodes, "
        f"{len(differ)} differ; {wrong} answers older than the last flush were asked again, "
        f"{again:,} requests in all; the oldest answer that was lost was {oldest:.2f} s old"
    )
    return int(bool(differ or wrong or kills < args.kills or expected.keys() != found.keys()))


if __name__ == "__main__":
    sys.exit(main())
