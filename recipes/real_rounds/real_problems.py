"""Train and held-out problem files of MultiArith, SVAMP and the easier part of GSM8K, without near-duplicates between them.

    python recipes/real_rounds/real_problems.py FOLDER --out DIR [--gsm8k 300] [--train N] [--seed 0]

FOLDER has multiarith.jsonl, svamp.jsonl and gsm8k_train.jsonl, rows {"id", "question", "answer"}. A third of MultiArith and of
SVAMP is held out, drawn by a hash of the text with numbers and names masked: near-duplicates, the same text with others, stay on
one side, and of those held out only the first is kept. Of GSM8K the shortest questions with whole answers are for training only.
`--train` keeps so many training problems, drawn from all. Prints the counts.
"""

import argparse
import hashlib
import re
from pathlib import Path
from typing import Any

from rstar_fast.data import read_rows, write_rows

_HELD_OUT = ("multiarith", "svamp")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NAME = re.compile(r"\b(?:[A-Z][a-z]+|he|she|his|her|him|hers)\b")
Row = dict[str, Any]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gsm8k", type=int, default=300)
    parser.add_argument("--train", type=int)
    parser.add_argument("--seed", type=int, default=0)
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
    counts = {
        source: sum(row["id"].startswith(source) for row in train)
        for source in (*_HELD_OUT, "gsm8k")
    }
    print(f"train {len(train)}: {counts}")
    print(
        f"held out {len(kept)}: { ({source: sum(row['id'].startswith(source) for row in kept) for source in _HELD_OUT}) }"
    )
    print(f"near-duplicates taken out of it: {len(held_out) - len(kept)}")


def first_of_each(rows: list[Row]) -> list[Row]:
    """The first of the rows that read alike once masked."""
    return list({masked(row["question"]): row for row in reversed(rows)}.values())[::-1]


def masked(question: str) -> str:
    """The question without what makes two instances of one text differ: numbers, and names with their pronouns."""
    return " ".join(_NAME.sub("@", _NUMBER.sub("#", question)).split())


def draw(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on the text and the seed alone."""
    digest = hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


if __name__ == "__main__":
    main()
