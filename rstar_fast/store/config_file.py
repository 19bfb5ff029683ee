"""The configuration file of a folder: written once, and compared with that of every later run."""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.store.files import open_to_read, parsed, sync_folder, write_whole

CONFIG = "config.json"
CHECKSUM = "checksum"
"""Key of a configuration's checksum in its file. It is the last one."""


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it will be read back.

    Raises:
        StoreError: A value is not a JSON value, or a key is `CHECKSUM`.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"config: expected JSON values: {error}") from error
    if CHECKSUM in plain:
        raise StoreError(f"config: expected no key {CHECKSUM!r}, which the file has for itself")
    return plain


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of a folder.

    Args:
        path: The folder.

    Raises:
        StoreError: The folder has no configuration, or a damaged one.
    """
    try:
        config = read_json(path / CONFIG)
    except FileNotFoundError as error:
        raise StoreError(f"{path / CONFIG}: cannot be read: no such file") from error
    if config:
        last = next(reversed(config))
        rest = {name: value for name, value in config.items() if name != last}
        right = config[last] == _checksum(rest)
        if last == CHECKSUM and right:
            return rest
        # Older versions wrote no checksum.
        if last == CHECKSUM or right:
            raise StoreError(f"{path / CONFIG}: damaged: the checksum differs")
    return config


def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write the configuration of a folder.

    The file is there as a whole or not at all, even if the process or the machine stops.

    Args:
        path: The folder.
        config: Configuration to write, of JSON values.

    Raises:
        OSError: The disk refuses.
    """
    write_json(path / CONFIG, {**config, CHECKSUM: _checksum(config)})
    sync_folder(path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is there as a whole or not at all.

    Raises:
        OSError: The disk refuses.
    """
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The file cannot be read, or it is damaged.
    """
    try:
        with open_to_read(path) as file:
            value = parsed(file.read())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path}: cannot be read: damaged: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path}: damaged: expected a JSON object, got {type(value).__name__}")
    return value


def refuse_other_config(path: Path, was: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise `StoreError`, which lists the differences, unless two configurations are equal.

    Args:
        path: Folder of the run, for the error's text.
        was: Configuration of the folder.
        wanted: Configuration of the run that is to continue.

    Raises:
        StoreError: The configurations differ.
    """
    old, new = dict(_flat(was)), dict(_flat(wanted))
    options = [option for option in {**old, **new} if old.get(option) != new.get(option)]
    if options:
        changes = "\n".join(
            f"  {option}: {old.get(option, '(not set)')} -> {new.get(option, '(not set)')}"
            for option in options
        )
        raise StoreError(
            f"{path}: this run was started with another configuration (was -> is):\n"
            f"{changes}\nuse another folder"
        )


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name of every option, and its value as JSON."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value, ensure_ascii=False)


def _checksum(config: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(config, sort_keys=True).encode()):08x}"
