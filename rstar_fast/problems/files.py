"""Reading problems from files.

A problem file is UTF-8 text that holds a JSON list of objects, or one JSON object a line (JSONL).
Fields of an object:

- `question` (or `problem`): the question, not blank.
- `answer`: the accepted answer as a string or a number, a list of accepted answers, or null where
  none is known. Of a GSM8K solution ("... #### 18") only the text after the mark is kept.
- `id` (optional): a string or an integer, unique within the file. Without it, the id is the file's
  name without its ending, a hyphen, and the object's `index` or else its position, counted from 0.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

from rstar_fast.errors import ProblemError
from rstar_fast.problems.problem import Problem

_BOM = b"\xef\xbb\xbf"
_SPACE = {" ", "\t", "\r", "\n"}
_MAX_SHOWN_CHARS = 60


def load_problems(source: str | Path, limit: int | None = None) -> list[Problem]:
    """Read the problems of a file, or of a Hugging Face data set.

    Args:
        source: Path of a JSON or JSONL file. Otherwise the name of a data set: `name`, `name:split`
            or `name:config:split`, where the name may be a folder (see `hub.dataset_rows`).
        limit: Number of problems to take from the front, >= 1. None takes all. Rows after the
            limit are not checked.

    Raises:
        ProblemError: The source cannot be read, or a problem in it is malformed. The message names
            the file and the line, or the row of a data set.
    """
    check_limit(limit)
    path = Path(source)
    if path.is_file():
        return _collect(_file_rows(path), path.stem, str(path), limit)
    if path.suffix in (".json", ".jsonl"):
        raise ProblemError(f"{path}: no such file")
    from rstar_fast.problems.hub import dataset_rows

    stem, rows = dataset_rows(str(source))
    return _collect(rows, stem, str(source), limit)


def check_limit(limit: int | None) -> None:
    """Raise `ProblemError` unless a limit is None or at least 1."""
    if limit is not None and limit < 1:
        raise ProblemError(f"limit: expected at least 1 problem, got {limit}")


def _collect(
    rows: Iterable[tuple[str, Any]], stem: str, source: str, limit: int | None
) -> list[Problem]:
    problems: list[Problem] = []
    first_use: dict[str, str] = {}
    for position, (where, row) in enumerate(islice(rows, limit)):
        problem = problem_of_row(row, f"{stem}-{position}", stem, where)
        if problem.id in first_use:
            raise ProblemError(
                f"{where}: the id {problem.id!r} is taken: first used at {first_use[problem.id]}"
            )
        first_use[problem.id] = where
        problems.append(problem)
    if not problems:
        raise ProblemError(
            f"{source}: no problems in it: expected a JSON list, or one JSON object a line"
        )
    return problems


def _file_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield pairs of a place, such as "set.jsonl:3", and the row there."""
    try:
        raw = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise ProblemError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ProblemError(
            f"{path}:{number}: expected UTF-8, got byte 0x{raw[error.start]:02x} at column {column}"
        ) from error
    if text.lstrip().startswith("["):
        yield from _list_rows(path, text)
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                where = f"{path}:{number}"
                row, end = _decode(line.strip(), 0, where)
                if end < len(line.strip()):
                    raise ProblemError(f"{where}: broken JSON: more than one value on the line")
                yield where, row


def _list_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Yield pairs of a place and a list item. Items are decoded one by one to know their lines."""
    newlines = [match.start() for match in re.finditer("\n", text)]

    def place(at: int) -> str:
        return f"{path}:{bisect_left(newlines, at) + 1}"

    at = _skip_space(text, text.index("[") + 1)
    while not text.startswith("]", at):
        row, end = _decode(text, at, place(at))
        yield place(at), row
        at = _skip_space(text, end)
        if text.startswith(",", at):
            at = _skip_space(text, at + 1)
        elif not text.startswith("]", at):
            found = repr(text[at]) if at < len(text) else "the end of the file"
            raise ProblemError(f"{place(at)}: broken JSON: expected ',' or ']', got {found}")
    rest = _skip_space(text, at + 1)
    if rest < len(text):
        raise ProblemError(f"{place(rest)}: broken JSON: text after the end of the list")


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE:
        at += 1
    return at


def _decode(text: str, start: int, where: str) -> tuple[Any, int]:
    """Return the JSON value that begins at `start`, and the position after it."""
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise ProblemError(f"{where}: broken JSON: {reason}") from error


def problem_of_row(row: Any, default_id: str, stem: str, where: str) -> Problem:
    """Return the problem that a row of a file or data set describes.

    Args:
        row: Decoded object with the fields of a problem file.
        default_id: Id of the problem if the row has neither `id` nor `index`.
        stem: Text that an id made of the row's `index` begins with.
        where: Place of the row, for error messages.

    Raises:
        ProblemError: The row is malformed.
    """
    if not isinstance(row, dict):
        raise ProblemError(
            f"{where}: expected an object with question and answer, got {_short(row)}"
        )
    question = row.get("question", row.get("problem"))
    if question is None:
        raise ProblemError(
            f"{where}: no field 'question'; it has {', '.join(map(repr, row)) or 'none'}"
        )
    if not isinstance(question, str) or not question.strip():
        raise ProblemError(f"{where}: question: expected text, got {_short(question)}")
    if "answer" not in row:
        raise ProblemError(
            f"{where}: no field 'answer' (null where it is not known); "
            f"it has {', '.join(map(repr, row))}"
        )
    problem_id, answers = _id(row, default_id, stem, where), _answers(row["answer"], where)
    try:
        return Problem(problem_id, question, answers)
    except ProblemError as error:
        raise ProblemError(f"{where}: {error}") from error


def _id(row: dict[str, Any], default_id: str, stem: str, where: str) -> str:
    for field, prefix in (("id", ""), ("index", f"{stem}-")):
        value = row.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ProblemError(
                f"{where}: {field}: expected a string or an integer, got {_short(value)}"
            )
        return f"{prefix}{value}"
    return default_id


def _answers(value: Any, where: str) -> tuple[str, ...]:
    """Return the accepted answers, each once. A GSM8K solution gives the text after "####"."""
    found = []
    for answer in value if isinstance(value, list) else [value]:
        # An integer may be too long for a float.
        number = (isinstance(answer, int) and not isinstance(answer, bool)) or (
            isinstance(answer, float) and isfinite(answer)
        )
        if not (number or isinstance(answer, str) or answer is None):
            raise ProblemError(
                f"{where}: answer: expected a string, a number or a list of these, "
                f"got {_short(value)}"
            )
        text = "" if answer is None else str(answer).rpartition("####")[2].strip()
        if text:
            found.append(text)
    return tuple(dict.fromkeys(found))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 3]}..."
