"""Options that are given as text."""

import argparse
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from textwrap import dedent
from typing import Any

from rstar_fast.config import PRESETS, SearchConfig
from rstar_fast.errors import ConfigError

_PLAIN = (bool, int, float, str, list, dict)


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Read options from texts such as "c=2.5" or "policy.epochs=3". A later text wins.

    A value is read as TOML, and taken as a plain string if it is none. Dots in a name lead into
    tables.

    >>> parse_settings(["candidates=4", "use_scores=false", "prompt=few_shot", "policy.epochs=3"])
    {'candidates': 4, 'use_scores': False, 'prompt': 'few_shot', 'policy': {'epochs': 3}}

    Raises:
        ConfigError: A text has no name or no equals sign, or a name leads into a value.
    """
    options: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        *tables, last = (part.strip() for part in name.split("."))
        if not equals or not all((*tables, last)):
            raise ConfigError(f"--set: expected option=value, got {setting!r}")
        table = options
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set: {setting!r}: {part} is a value here, not a table")
        table[last] = _value(text.strip())
    return options


def add_settings(parser: argparse.ArgumentParser, help: str) -> None:
    """Add the option `--set`, whose texts `parse_settings` reads."""
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="OPTION=VALUE", help=help
    )


def merged(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with changes. Tables are merged, and other values are replaced."""
    found = dict(options)
    for name, value in changes.items():
        old = found.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[name] = merged(old, value) if both else value  # type: ignore[arg-type]
    return found


def presets_table() -> str:
    """Return a text of every preset with its settings, and of every option with its meaning."""
    width = max(map(len, PRESETS))
    presets = [f"  {name:{width}}  {_words(PRESETS[name])}" for name in PRESETS]
    heading = "options of --set, with their defaults:"
    return "\n".join(["presets:", *presets, "", heading, *_options()])


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = found.get("value")
    return value if found.keys() == {"value"} and isinstance(value, _PLAIN) else text


def _words(options: dict[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in options.items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _options() -> list[str]:
    """Return the options as the docstring of `SearchConfig` describes them."""
    _, _, attributes = (SearchConfig.__doc__ or "").partition("Attributes:\n")
    defaults = SearchConfig().to_dict()
    names = {field.name for field in fields(SearchConfig)}
    lines = []
    for line in dedent(attributes.rstrip(" ")).rstrip().split("\n"):
        name, colon, meaning = line.partition(": ")
        known = colon and name in names
        lines.append(f"  {_words({name: defaults[name]})}: {meaning}" if known else f"  {line}")
    return lines
