"""The index of a run's trees: where each record stands, and a summary of its tree.

    RUN/index.jsonl      one line per finished tree, in the order of the records

The records are the truth. An index is a copy of what they say, so it is written without waiting for
the disk. What is missing at its end, or does not fit the records, is made from the records again.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, get_type_hints

from rstar_fast.problems import Problem
from rstar_fast.store.fields import Kind, check_fields
from rstar_fast.store.files import open_to_append, open_to_read, write_behind
from rstar_fast.store.journal import sealed_line, unsealed
from rstar_fast.store.summary import TreeSummary
from rstar_fast.tree import Tree

INDEX = "index.jsonl"
_MAX_LINE_BYTES = 1 << 20
_LINES_AT_ONCE = 1000


@dataclass(slots=True)
class Entry:
    """What the index holds of one tree.

    Attributes:
        part: Number of the file that has the record.
        offset: Number of bytes before the record's line.
        length: Number of bytes of the line.
        crc: CRC-32 of the line.
        problem: Digest of the question and the accepted answers, see `digest`.
        summary: Summary of the tree.
    """

    part: int
    offset: int
    length: int
    crc: int
    problem: str
    summary: TreeSummary

    @classmethod
    def of(cls, tree: Tree, part: int, offset: int, line: bytes) -> "Entry":
        """Return the entry of a tree whose line begins at `offset` of a part."""
        summary = TreeSummary.of(tree)
        return cls(part, offset, len(line), zlib.crc32(line), digest(tree.problem), summary)

    @property
    def end(self) -> int:
        """Number of bytes from the start of the part to the end of the line."""
        return self.offset + self.length


_SUMMARY = tuple(field.name for field in fields(TreeSummary))
_PLACE = tuple(field.name for field in fields(Entry))[:-1]
_summary_of, _place_of = attrgetter(*_SUMMARY), attrgetter(*_PLACE)
_KINDS = {
    name: Kind.of(hint)
    for one in (TreeSummary, Entry)
    for name, hint in get_type_hints(one).items()
    if name != "summary"
}


def digest(problem: Problem) -> str:
    """Return a short text that differs for problems of another question or other answers."""
    text = json.dumps([problem.question, problem.answers]).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def read_index(path: Path) -> Iterator[tuple[Entry, int]]:
    """Yield the entries of an index up to the first damage, each with the end of its line.

    An index that is missing or cannot be read has none.
    """
    end = 0
    with suppress(OSError), open_to_read(path) as file:
        while line := file.readline(_MAX_LINE_BYTES):
            end += len(line)
            entry = _entry_of(line)
            if entry is None:
                return
            yield entry, end


class IndexWriter:
    """The writing end of an index. The folder is locked.

    Once the disk refuses an entry, nothing more is written. The next writer adds what is missing.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Open or create the index, and drop everything after its first `size` bytes.

        Raises:
            OSError: The file cannot be opened, or is a link.
        """
        self._size = size
        self._refused = False
        self._fd = open_to_append(path)
        try:
            os.ftruncate(self._fd, size)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries, as far as the disk takes them."""
        rest = iter(entries)
        while not self._refused and (some := list(islice(rest, _LINES_AT_ONCE))):
            lines = b"".join(map(_line_of, some))
            try:
                write_behind(self._fd, self._size, lines)
                self._size += len(lines)
            except OSError:
                self._refused = True

    def close(self) -> None:
        """Close the file. The writer cannot be used after that."""
        os.close(self._fd)


def _line_of(entry: Entry) -> bytes:
    summary = dict(zip(_SUMMARY, _summary_of(entry.summary), strict=True))
    return sealed_line({**summary, **dict(zip(_PLACE, _place_of(entry), strict=True))})


def _entry_of(line: bytes) -> Entry | None:
    """Return the entry of a line of an index. None of a torn or damaged line, or of another kind.

    Anything may stand there, with a right checksum too.
    """
    text = unsealed(line)
    if text is None:
        return None
    try:
        record: dict[str, Any] = json.loads(text)
        check_fields(record, _KINDS)
        summary = TreeSummary(*[record[name] for name in _SUMMARY])
        return Entry(**{name: record[name] for name in _PLACE}, summary=summary)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
