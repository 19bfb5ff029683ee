"""Running a Python file as a user without rights.

    python tests/support/ordinary_user.py FILE [ARGUMENT ...]

The interpreter, its packages and this repository may lie in folders that other users cannot enter,
such as /root. The file then runs in a mount namespace of its own, in which empty folders that
everybody can enter cover the closed ones, and only what is needed is visible in them, at its usual
path. Nothing changes outside that namespace.
"""

import errno
import os
import sys
import sysconfig
from pathlib import Path

import rstar_fast
from rstar_fast.verify.sandbox import kernel
from rstar_fast.verify.sandbox.kernel import mount, syscall

NOT_PERMITTED = 77
"""Exit status if mount namespaces are not permitted on this machine."""

USER = 1234
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_OPEN_TO_OTHERS = 0o005


def main(file: str, *arguments: str) -> None:
    needed = needed_folders(file)
    if any(closed_folder(folder) for folder in needed):
        try:
            syscall("unshare", kernel.CLONE_NEWNS)
            mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
                raise
            print(f"mount namespaces are not permitted: {error}")
            sys.exit(NOT_PERMITTED)
    for folder in needed:
        while closed := closed_folder(folder):
            cover(closed, needed)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.execv(sys.executable, [sys.executable, file, *arguments])


def needed_folders(file: str) -> list[Path]:
    """Return the folders that the interpreter reads, and the one of `file`, without links."""
    paths = {
        file,
        sys.executable,
        os.path.realpath(sys.executable),
        sys.prefix,
        sys.base_prefix,
        *sysconfig.get_paths().values(),
        *rstar_fast.__path__,
    }
    folders = {Path(path) if os.path.isdir(path) else Path(path).parent for path in paths}
    return sorted({folder.resolve() for folder in folders} | folders)


def closed_folder(folder: Path) -> Path | None:
    """Return the topmost folder on a path that other users cannot enter."""
    for path in (*reversed(folder.parents), folder):
        if path.is_dir() and path.stat().st_mode & _OPEN_TO_OTHERS != _OPEN_TO_OTHERS:
            return path
    return None


def cover(folder: Path, needed: list[Path]) -> None:
    """Cover a folder with an open one, in which the needed entries are visible again."""
    inside = [path for path in needed if path.is_relative_to(folder)]
    names = {path.relative_to(folder).parts[0] for path in inside if path != folder}
    if folder in inside:
        names |= set(os.listdir(folder))
    old_fd = os.open(folder, os.O_PATH)
    mount("tmpfs", str(folder), "tmpfs", 0, "mode=0755")
    for name in names:
        old, new = Path(f"/proc/self/fd/{old_fd}") / name, folder / name
        if old.is_symlink():
            new.symlink_to(os.readlink(old))
            continue
        if old.is_dir():
            new.mkdir()
        else:
            new.touch()
        mount(str(old), str(new), None, _MS_BIND | _MS_REC)
    os.close(old_fd)


if __name__ == "__main__":
    main(*sys.argv[1:])
