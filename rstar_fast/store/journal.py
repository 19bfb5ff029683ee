"""An append-only file of JSON lines.

A line counts once it is on disk. A torn last line does not count.
"""

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
        number: Number of the line, from 1.
        end: Number of bytes from the start of the file to the end of the line.
        record: Object on the line. It has a string `id`.
    """

    number: int
    end: int
    record: dict[str, Any]


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a journal without a torn last line. A missing file has no lines.

    Raises:
        StoreError: A line before the last one is damaged.
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
                        f"{path}:{number}: damaged: expected a JSON object with an id, "
                        f"got {raw[:60]!r}"
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
    """The writing end of a journal. A file may have only one at a time.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Open or create the file, and drop everything after its first `size` bytes."""
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

        Args:
            record: Object to write. It has a string `id`.
            what: What the record is, for the error's text.

        Raises:
            StoreError: The line could not be written. The file is as before.
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
        """Close the file. The journal cannot be used after that."""
        os.close(self._fd)

    def _undo(self) -> None:
        # If even this fails, the next append tries again, and readers ignore a torn last line.
        with suppress(OSError):
            os.ftruncate(self._fd, self._size)
