"""The configuration that a folder's contents were made by: written once, compared ever after."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError

CONFIG = "config.json"


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as it will be read back."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"config: expected JSON values: {error}") from error
    return plain


def read_config(path: Path) -> dict[str, Any]:
    """The config of a folder.

    Raises:
        StoreError: there is none, or it is damaged.
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
    """All of it or nothing, whenever the process or the machine stops."""
    write_json(path / CONFIG, config)
    sync_folder(path)


def write_json(path: Path, value: Any) -> None:
    """A file that is there whole, or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def refuse_other_config(path: Path, was: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise `StoreError`, with the differences, unless both are the same."""
    old, new = dict(_flat(was)), dict(_flat(wanted))
    options = [option for option in {**old, **new} if old.get(option) != new.get(option)]
    if options:
        changes = "\n".join(
            f"  {option}: {old.get(option, '(not set)')} -> {new.get(option, '(not set)')}"
            for option in options
        )
        raise StoreError(
            f"{path}: this run was started with another configuration (was -> is):\n{changes}\nuse another folder"
        )


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every option by its dotted name, with its value as JSON."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value, ensure_ascii=False)


def sync_folder(path: Path) -> None:
    """Make the folder's list of files durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
