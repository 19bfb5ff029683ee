"""The configuration file of a folder: written once, and compared with that of every later run."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError

CONFIG = "config.json"


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it will be read back.

    Raises:
        StoreError: A value is not a JSON value.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"config: expected JSON values: {error}") from error
    return plain


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of a folder.

    Args:
        path: The folder.

    Raises:
        StoreError: The folder has no configuration, or a damaged one.
    """
    try:
        config = json.loads((path / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path / CONFIG}: cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise StoreError(
            f"{path / CONFIG}: damaged: expected a JSON object, got {type(config).__name__}"
        )
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
    write_json(path / CONFIG, config)
    sync_folder(path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is there as a whole or not at all.

    Raises:
        OSError: The disk refuses.
    """
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of files is on disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
