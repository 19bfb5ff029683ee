"""Journals of the trees under way: what engines told them, so that a killed search asks less again.

    RUN/under_way/NAME.jsonl     the journal of one tree; NAME is a digest of the problem's key

The first line says what the tree belongs to. Each further line is one flush, see
`search.recording`. A line is written at once but not synced: it survives the process, and most
power cuts. The journal is deleted when its tree has ended.
"""

import hashlib
import json
import os
import stat
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.problems import Problem
from rstar_fast.store.files import write_behind
from rstar_fast.store.journal import read_lines, seal
from rstar_fast.store.lock import FolderLock

FOLDER = "under_way"
FORMAT = 1
"""Version of the format of these journals."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class Checkpoints:
    """The journals of the trees under way in one run folder. One thread uses it.

    Args:
        run: Run folder, which is locked.
        lock: Its lock.
        config: Configuration of the run.
        done: Keys of the problems whose trees are on disk. Journals that a kill left of them are
            deleted.

    Raises:
        StoreError: There is something else in the place of the journals' folder.
        OSError: The disk refuses.
    """

    def __init__(
        self, run: Path, lock: FolderLock, config: Mapping[str, Any], done: Iterable[str]
    ) -> None:
        self._folder = run.absolute() / FOLDER
        self._lock = lock
        self._config = _digest(json.dumps([metadata.version("rstar_fast"), config], sort_keys=True))
        # Number of bytes of each journal that count.
        self._sizes: dict[str, int] = {}
        self._paths: dict[str, str] = {}
        if num_under_way(run):
            for key in done:
                self._path(key).unlink(missing_ok=True)

    def load(self, problem: Problem) -> list[dict[str, Any]]:
        """Return the records of a problem's journal, without the first line.

        A torn last line is cut off. A damaged journal, or one of another configuration or problem,
        is deleted with a warning, and there are no records.
        """
        path = self._path(problem.key)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise StoreError(f"{path}: expected a file that is no link")
            lines = list(read_lines(path))
            expected = self._header(problem)
            if lines and lines[0].record != expected:
                differs = [name for name in expected if lines[0].record.get(name) != expected[name]]
                raise StoreError(f"{path}:1: of another {' and '.join(differs) or 'version'}")
        except FileNotFoundError:
            return []
        except StoreError as error:
            self.discard(problem.key, str(error))
            return []
        if not lines:
            self.remove(problem.key)
            return []
        self._sizes[problem.key] = lines[-1].end
        return [line.record for line in lines[1:]]

    def discard(self, key: str, reason: str) -> None:
        """Delete the journal of a problem, with a warning: its tree begins anew."""
        self.remove(key)
        warnings.warn(f"{reason}; the tree of problem {key!r} begins anew", stacklevel=2)

    def append(self, problem: Problem, record: Mapping[str, Any]) -> None:
        """Write one more record of a problem.

        Raises:
            StoreError: The disk refuses, or the folder was deleted or moved.
        """
        line = _line({"id": problem.key, **record})
        size = self._sizes.get(problem.key, 0)
        if not size:
            line = _line(self._header(problem)) + line
        path = self._paths.get(problem.key)
        if path is None:
            path = self._paths[problem.key] = str(self._path(problem.key))
        try:
            if not size:
                self._make_folder()
            # The file is as new as its size says: whatever else is there is not written to.
            flags = os.O_TRUNC | os.O_CREAT if not size else 0
            fd = os.open(path, _FLAGS | flags)
            try:
                write_behind(fd, size, line)
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreError(
                f"{path}: could not write what engines told of problem {problem.key!r}: "
                f"{error.strerror}"
            ) from error
        self._sizes[problem.key] = size + len(line)

    def check(self) -> None:
        """Check that nobody else may write the folder.

        Raises:
            StoreError: The folder was deleted, moved or unlocked.
        """
        self._lock.check()

    def remove(self, key: str) -> None:
        """Delete the journal of a problem, if there is one."""
        self._sizes.pop(key, None)
        self._paths.pop(key, None)
        with suppress(OSError):
            self._path(key).unlink()

    def close(self) -> None:
        """Remove the folder of the journals if it is empty."""
        with suppress(OSError):
            self._folder.rmdir()

    def _header(self, problem: Problem) -> dict[str, Any]:
        return {
            "id": problem.key,
            "format": FORMAT,
            "configuration": self._config,
            "question": problem.question,
            "answers": list(problem.answers),
        }

    def _path(self, key: str) -> Path:
        return self._folder / f"{_digest(key)}.jsonl"

    def _make_folder(self) -> None:
        with suppress(FileExistsError):
            self._folder.mkdir()


def num_under_way(run: Path) -> int:
    """Return the number of trees of a run folder that were stopped and can go on.

    Raises:
        StoreError: There is something else in the place of the journals' folder.
    """
    folder = run / FOLDER
    try:
        if stat.S_ISDIR(folder.lstat().st_mode):
            return len(os.listdir(folder))
    except FileNotFoundError:
        return 0
    raise StoreError(f"{folder}: expected a folder that is no link")


def _line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line with its checksum.

    Halves of surrogate pairs stay what they are, so that the tree stays the same.
    """
    return seal(_ENCODER.encode(record).encode("ascii") + b"\n")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
