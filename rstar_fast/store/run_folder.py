"""A run on disk: its configuration, every finished tree and every failure.

    RUN/config.json      configuration of the run
    RUN/trees*.jsonl     one line per finished tree, see `finished`
    RUN/index.jsonl      where these lines stand, see `index`
    RUN/failures.jsonl   one line per failure: id, copy, question, answers, reason, error_type,
                         traceback, time
    RUN/sessions.jsonl   one line per process that wrote here and was not killed: how it ended, and
                         what its resources did
    RUN/under_way/       one file per tree under way, see `checkpoints`
    RUN/lock             locked while a process writes

A tree counts once its line is on disk. A run that was killed continues with the same command: what
is finished stays, a torn last line is dropped and its problem is searched again, and failed
problems are tried again.
"""

from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from errno import ELOOP
from pathlib import Path
from types import TracebackType
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.store.checkpoints import Checkpoints
from rstar_fast.store.config_file import (
    CONFIG,
    as_json,
    read_config,
    refuse_other_config,
    write_config,
)
from rstar_fast.store.files import sync_folder
from rstar_fast.store.finished import FinishedTrees, find_parts
from rstar_fast.store.journal import Journal, at, read_lines
from rstar_fast.store.lock import FolderLock
from rstar_fast.store.records import (
    check_session,
    failure_to_record,
    record_to_failure,
)
from rstar_fast.store.summary import TreeSummary
from rstar_fast.tree import Tree


class RunFolder:
    """The folder of a run. Use `open` to write it and `read` to look into it.

    Attributes:
        path: The folder.
        config: Configuration as in config.json.
    """

    def __init__(self, path: Path, config: dict[str, Any], lock: FolderLock | None) -> None:
        """Read what is there. With a lock, cut off torn last lines and open the files for writing.

        Callers use `open` and `read` instead.
        """
        self.path = path
        self.config = config
        self._lock = lock
        self._finished = FinishedTrees(path, writable=lock is not None)
        self._failures: Journal | None = None
        self._sessions: Journal | None = None
        self._checkpoints: Checkpoints | None = None
        if lock is not None:
            self._failures = _reopened(path / "failures.jsonl")
            self._sessions = _reopened(path / "sessions.jsonl")
            self._checkpoints = Checkpoints(path, lock, config, self.done)
            sync_folder(path)

    @property
    def done(self) -> KeysView[str]:
        """Keys (`Problem.key`) of the problems whose trees are on disk."""
        return self._finished.keys

    @classmethod
    def open(cls, path: str | Path, config: Mapping[str, Any]) -> "RunFolder":
        """Start a run in a new folder, or continue the run of the same configuration in an old one.

        Args:
            path: Folder. It is created if it is missing.
            config: Configuration of JSON values. It must equal the configuration of an old folder.

        Raises:
            StoreError: Another process writes the folder, another configuration wrote it (the
                message has the differences), it is damaged, or the disk refuses.
        """
        path = Path(path)
        wanted = as_json(config)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(path)
        except OSError as error:
            raise StoreError(f"{path}: not usable as a run folder: {_reason(error)}") from error
        try:
            if (path / CONFIG).exists():
                refuse_other_config(path, read_config(path), wanted)
            elif parts := find_parts(path):
                raise StoreError(f"{path}: damaged: {parts[0].name} without config.json")
            else:
                write_config(path, wanted)
            return cls(path, wanted, lock)
        except OSError as error:
            lock.close()
            raise StoreError(
                f"{path}: could not be opened for writing: {_reason(error)}"
            ) from error
        except BaseException:
            lock.close()
            raise

    @classmethod
    def read(cls, path: str | Path) -> "RunFolder":
        """Look at what a run holds now. Another process may be writing it.

        Raises:
            StoreError: The folder is not a run folder, or it is damaged.
        """
        path = Path(path)
        if not (path / CONFIG).is_file():
            raise StoreError(f"{path}: expected a run folder, but it has no config.json")
        return cls(path, read_config(path), None)

    def check(self, problems: Iterable[Problem]) -> None:
        """Check that finished trees are of the same questions and answers as the problems.

        Raises:
            StoreError: The finished tree of a problem is of another question, or was graded by
                other answers.
        """
        for problem in problems:
            if problem.key not in self.done or self._finished.is_of(problem):
                continue
            searched = self._finished.tree(problem.key).problem
            for what, was, now in (
                ("another question", searched.question, problem.question),
                ("other answers", list(searched.answers), list(problem.answers)),
            ):
                if was != now:
                    raise StoreError(
                        f"{self.path}: problem {problem.key!r} was searched with {what}: "
                        f"{_short(was)} -> {_short(now)}; use another folder"
                    )

    def append(self, tree: Tree) -> None:
        """Write a finished tree. It is on disk when this returns.

        Raises:
            StoreError: The problem has a tree already, the folder is not open for writing, or the
                disk refuses. The file is as before.
        """
        self._check_lock()
        if tree.problem.key in self.done:
            raise StoreError(f"{self.path}: problem {tree.problem.key!r} has a tree already")
        self._finished.append(tree)

    def fail(self, failure: Failure) -> None:
        """Note that a problem could not be searched. The next run tries it again.

        Args:
            failure: The failure. Its `time` is ignored, and the present time is written.

        Raises:
            StoreError: The folder is not open for writing, or the disk refuses.
        """
        noted = replace(failure, time=datetime.now(UTC).isoformat(timespec="seconds"))
        what = f"the failure of problem {failure.problem.key!r}"
        self._writable(self._failures).append(failure_to_record(noted), what)

    def end_session(self, record: Mapping[str, Any]) -> None:
        """Note how a session went.

        Args:
            record: Facts about the session, as JSON values. The note gets the present time as its
                `id`, ISO 8601 in UTC.

        Raises:
            StoreError: The folder is not open for writing, or the disk refuses.
        """
        time = datetime.now(UTC).isoformat(timespec="seconds")
        self._writable(self._sessions).append({"id": time, **record}, "the end of the session")

    @property
    def checkpoints(self) -> Checkpoints:
        """Journals of the trees under way.

        Raises:
            StoreError: The folder is not open for writing.
        """
        if self._checkpoints is None:
            raise StoreError(f"{self.path}: not open for writing")
        return self._checkpoints

    def sessions(self) -> list[dict[str, Any]]:
        """Return the notes of `end_session`, in order.

        Raises:
            StoreError: A line is damaged.
        """
        path = self.path / "sessions.jsonl"
        notes = []
        for line in read_lines(path):
            with at(path, line):
                check_session(line.record)
            notes.append(line.record)
        return notes

    def trees(self) -> Iterator[Tree]:
        """Yield every finished tree, in order of finishing. Trees are read from disk one by one.

        Raises:
            StoreError: A line is damaged, or of another version of the format.
        """
        return self._finished.trees()

    def tree(self, key: str) -> Tree:
        """Return the finished tree of a problem. No other is read.

        Args:
            key: Key of the problem, one of `done`.

        Raises:
            KeyError: The problem has no tree.
            StoreError: The record is damaged.
        """
        return self._finished.tree(key)

    def summaries(self) -> Iterator[TreeSummary]:
        """Yield a summary of every finished tree, in order of finishing. No tree is read.

        They are of the trees that were there when the folder was opened, and of those appended.
        """
        return self._finished.summaries()

    def failures(self) -> list[Failure]:
        """Return the last failure of every problem that has no tree yet.

        Problems are in the order of their first failures.

        Raises:
            StoreError: A line is damaged.
        """
        path = self.path / "failures.jsonl"
        last: dict[str, Failure] = {}
        for line in read_lines(path):
            with at(path, line):
                last[line.record["id"]] = record_to_failure(line.record)
        return [failure for key, failure in last.items() if key not in self.done]

    def close(self) -> None:
        """Close the files and release the lock. Nothing is lost without it. May be called again."""
        self._finished.close()
        for part in (self._failures, self._sessions, self._checkpoints, self._lock):
            if part is not None:
                part.close()
        self._failures = self._sessions = self._checkpoints = self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _writable(self, journal: Journal | None) -> Journal:
        self._check_lock()
        assert journal is not None
        return journal

    def _check_lock(self) -> None:
        if self._lock is None:
            raise StoreError(f"{self.path}: not open for writing")
        self._lock.check()


def _reason(error: OSError) -> str:
    if error.errno == ELOOP:
        return f"{error.filename} is a link, which is not followed"
    return f"{error.filename}: {error.strerror}"


def _reopened(path: Path) -> Journal:
    """Open a journal for more lines. A torn last line is cut off."""
    return Journal(path, max((line.end for line in read_lines(path)), default=0))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
