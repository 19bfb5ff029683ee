"""One process at a time writes a run folder."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from rstar_fast.errors import StoreError

_held: set[Path] = set()


class FolderLock:
    """An exclusive lock on a folder, held until `close` or the end of the process, however it ends.

    A POSIX record lock: forked workers that outlive a killed run do not keep it (they would keep a flock). Such a lock does not
    hold against its own process, hence the set of held folders.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock, or raise `StoreError` at once if another run holds it."""
        self._folder = folder.resolve()
        if self._folder in _held:
            raise StoreError(f"{folder}: in use: this process has it open already")
        self._fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
            raise StoreError(f"{folder}: in use: process {holder or '?'} is writing it") from error
        # Only a help to whoever finds it locked; a full disk is reported where it matters.
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        _held.add(self._folder)

    def close(self) -> None:
        """Let go of the folder."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
        _held.discard(self._folder)
