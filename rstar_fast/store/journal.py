"""An append-only file of JSON lines, each with a checksum.

A line counts once it is on disk. The last line may be torn, which is its beginning without its end,
as a kill leaves it. Such a line does not count. Any other damage is an error.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.store.files import open_to_append, open_to_read, parsed, same_file, write_behind
from rstar_fast.store.records import encode_line

CHECKSUM = "checksum"
"""Key of a line's checksum. It is the last one."""

_KEY = b',"checksum":"'
_SEAL_BYTES = len(_KEY) + len(b'01234567"}\n')
_MAX_LINE_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a journal.

    Attributes:
        number: Number of the line, from 1.
        offset: Number of bytes from the start of the file to the start of the line.
        raw: The line itself.
        record: Object on the line, without its checksum. It has a string `id`.
    """

    number: int
    offset: int
    raw: bytes
    record: dict[str, Any]

    @property
    def end(self) -> int:
        """Number of bytes from the start of the file to the end of the line."""
        return self.offset + len(self.raw)


def sealed_line(record: dict[str, Any]) -> bytes:
    """Return a record as a line that ends with its checksum.

    The checksum is the CRC-32 of all bytes of the line before its own key, as eight hexadecimal
    digits.

    Raises:
        StoreError: A value is not a JSON value, or a number is NaN or infinite.
    """
    return seal(encode_line(record))


def seal(line: bytes) -> bytes:
    """Return the line of a JSON object with its checksum; see `sealed_line`."""
    body = line[:-2]
    return body + _seal(body)


def unsealed(line: bytes) -> bytes | None:
    """Return the JSON object of a sealed line, or None if its checksum is missing or differs."""
    body = line[:-_SEAL_BYTES]
    return body + b"}" if line[-_SEAL_BYTES:] == _seal(body) else None


def read_lines(path: Path, offset: int = 0, number: int = 1) -> Iterator[Line]:
    """Yield the lines of a journal without a torn last line. A missing file has no lines.

    Lines without a checksum, which older versions wrote, are read too.

    Args:
        path: The file.
        offset: Number of bytes before the first line to read.
        number: Number of that line.

    Raises:
        StoreError: A line is damaged, or the file cannot be read.
    """
    try:
        with open_to_read(path) as file:
            file.seek(offset)
            while raw := file.readline(_MAX_LINE_BYTES):
                try:
                    record = _record_of(raw)
                except ValueError as error:
                    raise StoreError(
                        f"{path}:{number}: damaged: {error}; the line begins with {raw[:40]!r}. "
                        "Delete the line to lose no more than what it tells"
                    ) from error
                if record is None:
                    return
                yield Line(number, offset, raw, record)
                offset += len(raw)
                number += 1
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error


@contextmanager
def at(path: Path, line: Line) -> Iterator[None]:
    """Say in errors where a record stands."""
    try:
        yield
    except StoreError as error:
        raise StoreError(f"{path}:{line.number}: {error}") from error


class Journal:
    """The writing end of a journal. A file may have only one at a time.

    Attributes:
        path: The file.
        size: Number of bytes of its whole lines.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Open or create the file, and drop everything after its first `size` bytes.

        Raises:
            OSError: The file cannot be opened, or is a link.
        """
        self.path = path
        self._absolute = path.absolute()
        self.size = size
        self._fd = open_to_append(path)
        try:
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, record: dict[str, Any], what: str) -> bytes:
        """Write one line, wait until it is on disk, and return it.

        Args:
            record: Object to write. It has a string `id`.
            what: What the record is, for the error's text.

        Raises:
            StoreError: The line could not be written, and the file is as before. Or the file was
                deleted or replaced.
        """
        line = sealed_line(record)
        try:
            write_behind(self._fd, self.size, line)
            os.fsync(self._fd)
        except OSError as error:
            self._undo()
            raise StoreError(
                f"{self.path}: could not write {what} ({len(line)} bytes): {error.strerror}"
            ) from error
        except BaseException:
            self._undo()
            raise
        self.size += len(line)
        if not same_file(self._fd, self._absolute):
            raise StoreError(f"{self.path}: deleted or replaced while a run was writing to it")
        return line

    def finish(self) -> None:
        """Close the file for good, without what an append that failed may have left behind.

        Raises:
            OSError: The disk refuses. The journal is still open.
        """
        os.ftruncate(self._fd, self.size)
        self.close()

    def close(self) -> None:
        """Close the file. The journal cannot be used after that."""
        os.close(self._fd)

    def _undo(self) -> None:
        # If even this fails, the next append tries again, and readers ignore a torn last line.
        with suppress(OSError):
            os.ftruncate(self._fd, self.size)


def _seal(body: bytes) -> bytes:
    return b'%b%08x"}\n' % (_KEY, zlib.crc32(body))


def _record_of(raw: bytes) -> dict[str, Any] | None:
    """Return the object of a line without its checksum. None of a torn line.

    Raises:
        ValueError: The line is damaged.
    """
    if not raw.endswith(b"\n"):
        if len(raw) == _MAX_LINE_BYTES or _is_whole(raw[:-1]):
            raise ValueError("its end is not a line's")
        return None
    body, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
    expected = _seal(body)
    if seal != expected and (seal.startswith(_KEY) or seal[len(_KEY) :] == expected[len(_KEY) :]):
        raise ValueError("the checksum differs")
    record = parsed(raw)
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise ValueError("expected a JSON object with an id")
    if seal == expected:
        del record[CHECKSUM]
    return record


def _is_whole(text: bytes) -> bool:
    """Return whether a text is a JSON object, so that what stands behind it was a newline."""
    try:
        return isinstance(parsed(text), dict)
    except ValueError:
        return False
