"""JSONL and parquet files of training data. `datasets` and TRL read both."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rstar_fast.data.rows import DataRow
from rstar_fast.errors import DataError, StoreError
from rstar_fast.store.records import encode_line

SUFFIXES = (".jsonl", ".parquet")


def write_rows(path: str | Path, rows: Sequence[DataRow]) -> None:
    """Write all rows to a file, or nothing.

    Args:
        path: File to write. Its name ends in .jsonl or .parquet, which decides the format.
        rows: Rows to write, one or more.

    Raises:
        DataError: The name has another ending, there are no rows, or `pyarrow` is missing for a
            parquet file.
        StoreError: The file cannot be written.
    """
    path = _checked(Path(path))
    if not rows:
        raise DataError(f"{path}: expected at least one row to write, got none")
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
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise StoreError(f"{path}: could not write {len(rows)} rows: {reason}") from error
        raise


def read_rows(path: str | Path) -> list[DataRow]:
    """Return the rows of a file.

    Args:
        path: File whose name ends in .jsonl or .parquet.

    Raises:
        DataError: The file is missing, empty or damaged (the message names the line), its name has
            another ending, or `pyarrow` is missing for a parquet file.
    """
    path = _checked(Path(path))
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    rows = _read_jsonl(path) if path.suffix == ".jsonl" else _read_parquet(path)
    if not rows:
        raise DataError(f"{path}: empty: expected at least one row")
    return rows


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place ("file:line") and the value of every line that is not blank.

    Raises:
        DataError: The file cannot be read, or a line is not JSON in UTF-8.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8"))
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
            'parquet files need the package pyarrow: pip install "rstar-fast[train]"'
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
        raise DataError(f"{path}: cannot be read as parquet: {error}") from error
    return rows
