"""A lock that lets one process at a time write a folder."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from rstar_fast.errors import StoreError
from rstar_fast.store.files import same_file

_held: set[Path] = set()
"""Folders that this process has locked."""


class FolderLock:
    """An exclusive lock on a folder. It is held until `close` or until the process ends in any way.

    It is a POSIX record lock: forked workers that outlive a killed run do not keep it, as they
    would keep a flock. Such a lock does not stop its own process, so the process also remembers
    which folders it has locked.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            StoreError: Another run holds the lock. This does not wait for it.
            OSError: The lock file cannot be opened, or is a link.
        """
        self._folder = folder.resolve()
        if self._folder in _held:
            raise StoreError(f"{folder}: in use: this process has it open already")
        self._path = folder.absolute() / "lock"
        # A link may lead to anybody's file, which would be emptied.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o644)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
            raise StoreError(f"{folder}: in use: process {holder or '?'} is writing it") from error
        # The process id only helps whoever finds the folder locked. A full disk is reported later.
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        _held.add(self._folder)

    def check(self) -> None:
        """Check that the lock still keeps others out.

        Raises:
            StoreError: The lock file, or the whole folder, was deleted or replaced.
        """
        if not same_file(self._fd, self._path):
            raise StoreError(f"{self._path}: deleted or replaced while a run was using the folder")

    def close(self) -> None:
        """Release the lock."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
        _held.discard(self._folder)
