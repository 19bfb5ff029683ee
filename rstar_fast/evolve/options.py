"""Reading the TOML file of a self-evolution."""

from pathlib import Path
from typing import Any

from rstar_fast.evolve.config import SOURCES
from rstar_fast.toml_file import beside, read_toml


def read_options(path: str | Path) -> dict[str, Any]:
    """Return the plain values of a TOML file, as `EvolveConfig.from_dict` takes them.

    Models and problem files may be named relative to the file: a name that exists there becomes an
    absolute path. Any other name stays as it is.

    Raises:
        ConfigError: The file cannot be read, or it is not TOML.
    """
    path = Path(path)
    options = read_toml(path)
    for name in ("base", "bootstrap", *SOURCES):
        given = options.get(name)
        if isinstance(given, list):
            options[name] = [beside(path, each) for each in given]
        elif given is not None:
            options[name] = beside(path, given)
    return options
