"""An append-only file of JSON lines: a line is on disk before it counts, and a torn last line never does."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.store.records import encode_line


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a journal.

    Attributes:
        number: counted from 1.
        end: bytes from the start of the file to the end of the line.
        record: the object on it; has a string `id`.
    """

    number: int
    end: int
    record: dict[str, Any]


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a journal, a torn last one left out; none if there is no file.

    Raises:
        StoreError: a line before the last is damaged.
    """
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            record = _parse(raw)
            if record is None:
                if file.read(1):
                    raise StoreError(
                        f"{path}:{number}: damaged: expected a JSON object with an id; got {raw[:60]!r}"
                    )
                return
            end += len(raw)
            yield Line(number, end, record)


def _parse(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("id"), str) else None


class Journal:
    """The writing end of a journal. Only one may be open for a file."""

    def __init__(self, path: Path, size: int) -> None:
        """Open, or create; what stands behind the first `size` bytes is dropped."""
        self.path = path
        self._size = size
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, record: dict[str, Any], what: str) -> None:
        """Write one line and wait until it is on disk.

        Raises:
            StoreError: saying that `what` could not be written; the file is as before.
        """
        line = encode_line(record)
        try:
            if os.fstat(self._fd).st_size != self._size:
                os.ftruncate(self._fd, self._size)
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError as error:
            self._undo()
            raise StoreError(
                f"{self.path}: could not write {what} ({len(line)} bytes): {error.strerror}"
            ) from error
        except BaseException:
            self._undo()
            raise
        self._size += len(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _undo(self) -> None:
        # Where even this fails the next append tries again, and a reader leaves a torn last line out.
        with suppress(OSError):
            os.ftruncate(self._fd, self._size)
