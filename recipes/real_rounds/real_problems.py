"""Make train and held-out problem files of MultiArith, SVAMP and the easier part of GSM8K.

    python -m recipes.real_rounds.real_problems FOLDER --out DIR [--train 160]

FOLDER has multiarith.jsonl, svamp.jsonl and gsm8k_train.jsonl, with rows {"id", "question",
"answer"}. A third of MultiArith and of SVAMP is held out. A hash of the text with masked numbers
and names draws it, so that near-duplicates (one text with other numbers or names) stay on one side.
Only the first of held-out near-duplicates is kept. GSM8K's shortest questions with whole answers
are for training only. The program writes train.jsonl and held_out.jsonl to DIR and prints the
counts.
"""

import argparse
import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

from rstar_fast.data import read_rows, write_rows

_HELD_OUT = ("multiarith", "svamp")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NAME = re.compile(r"\b(?:[A-Z][a-z]+|he|she|his|her|him|hers)\b")
Row = dict[str, Any]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the three files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--gsm8k", type=int, default=300, help="problems of GSM8K (300)")
    parser.add_argument("--train", type=int, help="training problems to draw from all (all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (0)")
    args = parser.parse_args()
    train: list[Row] = []
    held_out: list[Row] = []
    for name in _HELD_OUT:
        for row in read_rows(args.folder / f"{name}.jsonl"):
            (held_out if draw(masked(row["question"]), args.seed) < 1 / 3 else train).append(
                {**row, "id": f"{name}/{row['id']}"}
            )
    easier = [
        row
        for row in first_of_each(read_rows(args.folder / "gsm8k_train.jsonl"))
        if row["answer"].lstrip("-").isdecimal()
    ]
    easier.sort(key=lambda row: (len(row["question"]), row["id"]))
    train += [{**row, "id": f"gsm8k/{row['id']}"} for row in easier[: args.gsm8k]]
    known = {masked(row["question"]) for row in train}
    kept = [row for row in first_of_each(held_out) if masked(row["question"]) not in known]
    for rows in (train, kept):
        rows.sort(key=lambda row: draw(row["question"], args.seed + 1))
    train = train[: args.train]
    for name, rows in (("train", train), ("held_out", kept)):
        write_rows(args.out / f"{name}.jsonl", rows)
    print(f"train {len(train)}: {count_sources(train)}")
    print(f"held out {len(kept)}: {count_sources(kept)}")
    print(f"near-duplicates taken out of the held-out problems: {len(held_out) - len(kept)}")


def count_sources(rows: list[Row]) -> dict[str, int]:
    """Return the number of rows of each source."""
    return dict(Counter(row["id"].partition("/")[0] for row in rows))


def first_of_each(rows: list[Row]) -> list[Row]:
    """Return the rows without those whose masked text an earlier row has, in order."""
    return list({masked(row["question"]): row for row in reversed(rows)}.values())[::-1]


def masked(question: str) -> str:
    """Return the question with numbers as "#", and names and their pronouns as "@"."""
    return " ".join(_NAME.sub("@", _NUMBER.sub("#", question)).split())


def draw(text: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the text and the seed alone."""
    digest = hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


if __name__ == "__main__":
    main()
