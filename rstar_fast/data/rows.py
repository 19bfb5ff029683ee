"""Training data as rows of plain values, and the JSONL and parquet files they are kept in (`datasets` and TRL read both)."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rstar_fast.data.merging import merged
from rstar_fast.data.pairs import PairGroup
from rstar_fast.data.trajectories import Trajectory, trajectories
from rstar_fast.errors import DataError, StoreError
from rstar_fast.problems import Problem
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.store.records import encode_line
from rstar_fast.tree import Tree

DataRow = dict[str, Any]
SUFFIXES = (".jsonl", ".parquet")


def pair_group_row(group: PairGroup) -> DataRow:
    """A group as a row: what the PPM is trained on, siblings together behind their prefix, `group_of_row` gives it back."""
    return {
        "id": group.problem.id,
        "question": group.problem.question,
        "kind": group.kind,
        "prefix": list(group.prefix),
        "chosen": [list(steps) for steps in group.chosen],
        "rejected": [list(steps) for steps in group.rejected],
        "chosen_q": list(group.chosen_q),
        "rejected_q": list(group.rejected_q),
        "chosen_logprob": list(group.chosen_logprob),
        "rejected_logprob": list(group.rejected_logprob),
        "pairs": [list(pair) for pair in group.pairs],
    }


def group_of_row(row: DataRow) -> PairGroup:
    """The group of a row; its problem comes back without answers.

    Raises:
        DataError: it is no such row.
    """
    try:
        return PairGroup(
            problem=Problem(row["id"], row["question"]),
            kind=row["kind"],
            prefix=tuple(row["prefix"]),
            chosen=tuple(map(tuple, row["chosen"])),
            rejected=tuple(map(tuple, row["rejected"])),
            chosen_q=tuple(row["chosen_q"]),
            rejected_q=tuple(row["rejected_q"]),
            chosen_logprob=tuple(row["chosen_logprob"]),
            rejected_logprob=tuple(row["rejected_logprob"]),
            pairs=tuple((int(i), int(j)) for i, j in row["pairs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"expected a row of preference pairs (see `pair_group_row`): {type(error).__name__}: {error}"
        ) from error


def flat_pair_rows(groups: Iterable[PairGroup]) -> list[DataRow]:
    """One row per pair, `prompt`, `chosen`, `rejected` as TRL's trainers read them, and the pair's weight and margin of Q."""
    return [
        {
            "id": group.problem.id,
            "prompt": finetuned_prompt(group.problem.question) + "".join(group.prefix),
            "chosen": "".join(group.chosen[i]),
            "rejected": "".join(group.rejected[j]),
            "weight": group.weight,
            "margin": group.chosen_q[i] - group.rejected_q[j],
        }
        for group in groups
        for i, j in group.pairs
    ]


def trajectory_rows(trees: Iterable[Tree], per_problem: int | None = None) -> list[DataRow]:
    """One row per trajectory, right or wrong: what outcome models (`correct`) and value models (`qs`) are trained on.

    Args:
        trees: searches, several of a problem or not.
        per_problem: rows at most, >= 1, from all over the tree, half of them right and half wrong where there are so many; None for
            all.

    Raises:
        DataError: an answer was not graded.
    """
    found = (trajectories(tree) for tree in merged(trees))
    return [
        _trajectory_row(one)
        for all_ in found
        for one in (all_ if per_problem is None else _balanced(all_, per_problem))
    ]


def _balanced(found: Sequence[Trajectory], most: int) -> list[Trajectory]:
    right, wrong = [one for one in found if one.correct], [one for one in found if not one.correct]
    num_right = min(len(right), max(most - len(wrong), (most + 1) // 2))
    return _spread(right, num_right) + _spread(wrong, most - num_right)


def _spread(found: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """So many of them, evenly spaced."""
    count = min(most, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def write_rows(path: str | Path, rows: Sequence[DataRow]) -> None:
    """Write a JSONL or a parquet file, by the name's end: all of it or nothing.

    Raises:
        DataError: another name, or nothing to write.
        StoreError: the disk refuses.
    """
    path = _checked(Path(path))
    if not rows:
        raise DataError(f"{path}: nothing to write: expected at least one row")
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            if path.suffix == ".jsonl":
                file.writelines(map(encode_line, rows))
            else:
                _write_parquet(file, rows)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: could not write {len(rows)} rows: {error.strerror or error}"
        ) from error


def read_rows(path: str | Path) -> list[DataRow]:
    """The rows of such a file.

    Raises:
        DataError: there is none, it is empty, or damaged (naming the line).
    """
    path = _checked(Path(path))
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    rows = _read_jsonl(path) if path.suffix == ".jsonl" else _read_parquet(path)
    if not rows:
        raise DataError(f"{path}: empty: expected at least one row")
    return rows


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The place and the value of every line that is not blank.

    Raises:
        DataError: a line is no JSON.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: broken JSON: {error}") from error
            yield f"{path}:{number}", value


def _checked(path: Path) -> Path:
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    return path


def _read_jsonl(path: Path) -> list[DataRow]:
    rows = []
    for where, row in json_lines(path):
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object, got {type(row).__name__}")
        rows.append(row)
    return rows


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            'parquet files need the package `pyarrow` (pip install "rstar-fast[train]")'
        ) from error
    return pyarrow


def _write_parquet(file: Any, rows: Sequence[DataRow]) -> None:
    pyarrow = _parquet()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)


def _read_parquet(path: Path) -> list[DataRow]:
    pyarrow = _parquet()
    try:
        rows: list[DataRow] = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not to be read as parquet: {error}") from error
    return rows


def _trajectory_row(one: Trajectory) -> DataRow:
    return {
        "id": one.problem.id,
        "question": one.problem.question,
        "steps": list(one.steps),
        "qs": list(one.qs),
        "answer": one.answer,
        "correct": one.correct,
        "logprobs": list(one.logprobs),
    }
