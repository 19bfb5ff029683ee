"""The finished trees of a run: their records, in parts of bounded size, and the index over them.

    RUN/trees.jsonl      the first part: one line per finished tree, see `records`
    RUN/trees-1.jsonl    the second part, begun when the first had `MAX_PART_BYTES`; and so on
    RUN/index.jsonl      see `index`

A tree counts once its record is on disk. Whoever opens a folder takes the index as far as it fits
the records, and reads the records behind that.
"""

import os
import re
import zlib
from collections.abc import Iterator, KeysView
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rstar_fast.errors import StoreError
from rstar_fast.problems import Problem
from rstar_fast.store.files import sync_folder
from rstar_fast.store.index import INDEX, Entry, IndexWriter, digest, read_index
from rstar_fast.store.journal import Journal, at, read_lines
from rstar_fast.store.records import record_to_tree, tree_to_record
from rstar_fast.store.summary import TreeSummary
from rstar_fast.tree import Tree

MAX_PART_BYTES = 1 << 28
"""Number of bytes of a part after which the next one is begun."""
_PART = re.compile(r"trees(?:-([1-9][0-9]{0,8}))?\.jsonl")


def find_parts(folder: Path) -> list[Path]:
    """Return the parts of a run folder, in order.

    Raises:
        StoreError: A part is missing before another.
    """
    found = [match for name in os.listdir(folder) if (match := _PART.fullmatch(name))]
    parts = [_path(folder, number) for number in range(len(found))]
    names = {match.group() for match in found}
    for path in parts:
        if path.name not in names:
            raise StoreError(f"{path}: missing, but there are later parts")
    return parts


class FinishedTrees:
    """The finished trees of one run folder, by the keys of their problems.

    Args:
        folder: Run folder.
        writable: Whether to add trees. The folder is locked then. A torn last line is cut off, and
            what the index lacks is written.

    Raises:
        StoreError: A record that is not in the index is damaged, or is the second of its problem.
        OSError: The files cannot be opened for writing.
    """

    def __init__(self, folder: Path, writable: bool) -> None:
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        self._journal: Journal | None = None
        self._index: IndexWriter | None = None
        # Number of the last part, and the number of bytes of its whole lines.
        self._part = self._end = 0
        num_indexed, index_bytes = self._load(_known(folder / INDEX))
        if writable:
            self._journal = Journal(_path(folder, self._part), self._end)
            try:
                self._index = IndexWriter(folder / INDEX, index_bytes)
            except BaseException:
                self.close()
                raise
            self._index.append(islice(self._entries.values(), num_indexed, None))

    @property
    def keys(self) -> KeysView[str]:
        """Keys of the problems."""
        return self._entries.keys()

    def summaries(self) -> Iterator[TreeSummary]:
        """Yield the summary of every tree, in order of finishing."""
        return (entry.summary for entry in self._entries.values())

    def is_of(self, problem: Problem) -> bool:
        """Return whether the tree of a problem's key is of the same question and answers."""
        return self._entries[problem.key].problem == digest(problem)

    def trees(self) -> Iterator[Tree]:
        """Yield every tree, in order of finishing. They are read from disk one by one.

        Raises:
            StoreError: A record is damaged, or of another version of the format.
        """
        for path in find_parts(self._folder):
            for line in read_lines(path):
                with at(path, line):
                    tree = record_to_tree(line.record)
                yield tree

    def tree(self, key: str) -> Tree:
        """Read the tree of a problem. An index that does not fit the record is made anew.

        Raises:
            KeyError: The problem has no tree.
            StoreError: A record is damaged.
        """
        tree = self._read(self._entries[key])
        if tree is None:
            self._load({})
            tree = self._read(self._entries[key])
        if tree is None:
            raise StoreError(f"{self._folder}: changed while the tree of {key!r} was read")
        return tree

    def append(self, tree: Tree) -> None:
        """Write a tree whose problem has none yet. It is on disk when this returns.

        Raises:
            StoreError: The disk refuses. The records are as before.
        """
        assert self._journal is not None and self._index is not None
        key = tree.problem.key
        if self._journal.size >= MAX_PART_BYTES:
            self._begin_part()
        offset = self._journal.size
        line = self._journal.append(tree_to_record(tree), f"the tree of problem {key!r}")
        self._entries[key] = Entry.of(tree, self._part, offset, line)
        self._index.append([self._entries[key]])

    def close(self) -> None:
        """Close the files."""
        for file in (self._journal, self._index):
            if file is not None:
                file.close()
        self._journal = self._index = None

    def _load(self, known: dict[int, "_Known"]) -> tuple[int, int]:
        """Take the entries that are known and fit the records, and read the records behind them.

        Args:
            known: Entries of the index by part.

        Returns:
            Number of entries that were taken, and of bytes of the index that hold them.
        """
        entries: dict[str, Entry] = {}
        num_indexed = index_bytes = 0
        for part, path in enumerate(find_parts(self._folder)):
            self._part, self._end, number = part, 0, 1
            of_part = known.get(part)
            if of_part is None or self._read(of_part.entries[-1]) is None:
                # What the index has of later parts would not stand behind what it has of this one.
                known = {}
            else:
                entries.update((entry.summary.id, entry) for entry in of_part.entries)
                num_indexed, index_bytes = len(entries), of_part.index_bytes
                self._end, number = of_part.entries[-1].end, len(of_part.entries) + 1
            for line in read_lines(path, self._end, number):
                known = {}
                with at(path, line):
                    tree = record_to_tree(line.record)
                    key = tree.problem.key
                    if key in entries:
                        raise StoreError(f"damaged: a second tree of problem {key!r}")
                entries[key] = Entry.of(tree, part, line.offset, line.raw)
                self._end = line.end
        self._entries = entries
        return num_indexed, index_bytes

    def _read(self, entry: Entry) -> Tree | None:
        """Return the tree of an entry, or None if another line stands in its place."""
        path = _path(self._folder, entry.part)
        with suppress(StoreError):
            for line in read_lines(path, entry.offset):
                place, key = (line.end, zlib.crc32(line.raw)), line.record["id"]
                if (place, key) == ((entry.end, entry.crc), entry.summary.id):
                    return record_to_tree(line.record)
                break
        return None

    def _begin_part(self) -> None:
        assert self._journal is not None
        path = _path(self._folder, self._part + 1)
        try:
            new = Journal(path, 0)
            sync_folder(self._folder)
            self._journal.finish()
        except OSError as error:
            raise StoreError(f"{path}: could not be begun: {error.strerror}") from error
        self._journal = new
        self._part += 1


@dataclass(slots=True)
class _Known:
    """What an index has of one part.

    Attributes:
        entries: Entries in order. There is one at least.
        index_bytes: Number of bytes from the start of the index to the end of the last of them.
    """

    entries: list[Entry] = field(default_factory=list)
    index_bytes: int = 0


def _known(index: Path) -> dict[int, _Known]:
    """Return what an index has of each part, up to the first entry that fits no other."""
    known: dict[int, _Known] = {}
    keys: set[str] = set()
    part = end = 0
    for entry, index_end in read_index(index):
        if entry.part == part + 1 and known:
            part, end = entry.part, 0
        key = entry.summary.id
        if (entry.part, entry.offset) != (part, end) or entry.length < 1 or key in keys:
            break
        keys.add(key)
        end = entry.end
        of_part = known.setdefault(part, _Known())
        of_part.entries.append(entry)
        of_part.index_bytes = index_end
    return known


def _path(folder: Path, part: int) -> Path:
    return folder / (f"trees-{part}.jsonl" if part else "trees.jsonl")
