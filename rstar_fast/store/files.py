"""Files of run folders, whoever has put what in their places.

A file is read only if it is a regular file, and nothing is written through a link.
"""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

MAX_DEPTH = 64
"""Number of lists and objects inside one another at most, in a JSON file that is read."""


def open_to_read(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: The file is missing, cannot be read, or is not a regular file.
    """
    return os.fdopen(_open_regular(path, os.O_RDONLY), "rb")


def open_to_append(path: Path) -> int:
    """Open or create a regular file for appending, but not through a link. Returns a descriptor.

    Raises:
        OSError: The file cannot be opened, or is a link or another thing that is no file.
    """
    return _open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW)


def write_behind(fd: int, size: int, data: bytes) -> None:
    """Write data behind the first `size` bytes of a file, in the place of whatever is there.

    Args:
        fd: Descriptor of the file, open for appending.
        size: Number of bytes to keep.
        data: Bytes to write.

    Raises:
        OSError: The disk refuses. A part of the data may be there.
    """
    if os.fstat(fd).st_size != size:
        os.ftruncate(fd, size)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole or not at all. A link in its place is replaced.

    Raises:
        OSError: The disk refuses.
    """
    temporary = path.with_name(path.name + ".tmp")
    # Whatever a killed process, or anybody else, has left there.
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of files is on disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def same_file(fd: int, path: Path) -> bool:
    """Return whether a path still names the file that is open as a descriptor."""
    try:
        named = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def parsed(raw: bytes) -> Any:
    """Return the value of a JSON text from a file that anything may have happened to.

    Raises:
        ValueError: It is not strict JSON in UTF-8, or more than `MAX_DEPTH` levels deep.
    """
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def _inside(value: Any) -> list[Any]:
    """Return the lists and objects that stand directly in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, dict | list)]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _open_regular(path: Path, flags: int) -> int:
    # Without O_NONBLOCK a named pipe would wait for a partner.
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a regular file", str(path))
    except BaseException:
        with suppress(OSError):
            os.close(fd)
        raise
    return fd
