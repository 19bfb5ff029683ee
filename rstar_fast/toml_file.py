"""Reading TOML files of options, and names in them that are relative to the file."""

import tomllib
from pathlib import Path
from typing import Any

from rstar_fast.errors import ConfigError


def read_toml(path: Path, *, where: str = "") -> dict[str, Any]:
    """Return the plain values of a TOML file.

    Args:
        path: The file.
        where: Beginning of the error's message, before the path.

    Raises:
        ConfigError: The file cannot be read, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{where}{path}: cannot be read: {error}") from error


def beside(path: Path, name: Any) -> Any:
    """Return the absolute path of something in the file's folder. Any other name stays as it is."""
    if isinstance(name, str) and name and (path.parent / name).exists():
        return str((path.parent / name).resolve())
    return name
