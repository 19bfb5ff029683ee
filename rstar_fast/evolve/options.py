"""Reading the TOML file of a self-evolution."""

import tomllib
from pathlib import Path
from typing import Any

from rstar_fast.errors import ConfigError
from rstar_fast.evolve.config import SOURCES


def read_options(path: str | Path) -> dict[str, Any]:
    """Return the plain values of a TOML file, as `EvolveConfig.from_dict` takes them.

    Models and problem files may be named relative to the file: a name that exists there becomes an
    absolute path. Any other name stays as it is.

    Raises:
        ConfigError: The file cannot be read, or it is not TOML.
    """
    path = Path(path)
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for name in ("base", "bootstrap", *SOURCES):
        given = options.get(name)
        if isinstance(given, list):
            options[name] = [_beside(path, each) for each in given]
        elif given is not None:
            options[name] = _beside(path, given)
    return options


def _beside(path: Path, name: Any) -> Any:
    """Return the absolute path of something in the file's folder. Any other name stays as it is."""
    if isinstance(name, str) and name and (path.parent / name).exists():
        return str((path.parent / name).resolve())
    return name
