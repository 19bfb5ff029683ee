"""Write a file of generated problems.

python -m recipes.embedded.write --split train --per-level 150 --out train.jsonl
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rstar_fast.embedded.problems import LEVELS, GradedProblem, Split, graded_problems


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=get_args(Split), required=True)
    parser.add_argument("--per-level", type=int, required=True)
    parser.add_argument("--levels", type=int, nargs="+", choices=LEVELS, default=LEVELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_problems(args.out, graded_problems(args.split, args.per_level, args.seed, args.levels))


def write_problems(path: Path, problems: Sequence[GradedProblem]) -> None:
    """Write a JSONL file that `load_problems` reads. Each row also has its level and its split."""
    with path.open("w", encoding="utf-8") as file:
        for p in problems:
            row = {
                "id": p.id,
                "question": p.question,
                "answer": p.answer,
                "level": p.level,
                "split": p.id.split("-")[0],
            }
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
