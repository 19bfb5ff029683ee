"""Tables of a TOML file as plain values."""

from typing import Any

from rstar_fast.errors import ConfigError


def take_table(options: dict[str, Any], name: str) -> dict[str, Any]:
    """Remove a table from the options and return a copy of it, empty if the table is missing.

    Raises:
        ConfigError: The value is not a table.
    """
    table = options.pop(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: expected a table, got {table!r}")
    return dict(table)
