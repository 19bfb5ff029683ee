"""Options of a search, written as text."""

from collections.abc import Iterable
from dataclasses import fields
from textwrap import dedent
from typing import Any

from rstar_fast.config import PRESETS, SearchConfig
from rstar_fast.errors import ConfigError

_TYPES: dict[str, type] = {field.name: type(field.default) for field in fields(SearchConfig)}


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Options of `SearchConfig` from texts like "c=2.5"; a later one wins. What does not parse is left for the config to refuse.

    >>> parse_settings(["candidates=4", "use_scores=false"])
    {'candidates': 4, 'use_scores': False}
    """
    options: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set: expected option=value, got {setting!r}")
        options[name.strip()] = _parse(_TYPES.get(name.strip(), str), text.strip())
    return options


def presets_table() -> str:
    """Every preset with what it sets, and every option with its default and meaning."""
    width = max(map(len, PRESETS))
    presets = [f"  {name:{width}}  {_words(PRESETS[name])}" for name in PRESETS]
    return "\n".join(
        ["presets:", *presets, "", "options of --set, with their defaults:", *_options()]
    )


def _parse(kind: type, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def _words(options: dict[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in options.items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _options() -> list[str]:
    """The options as `SearchConfig` documents them."""
    _, _, attributes = (SearchConfig.__doc__ or "").partition("Attributes:\n")
    defaults = SearchConfig().to_dict()
    lines = []
    for line in dedent(attributes.rstrip(" ")).rstrip().split("\n"):
        name, colon, meaning = line.partition(": ")
        lines.append(
            f"  {_words({name: defaults[name]})}: {meaning}"
            if colon and name in defaults
            else f"  {line}"
        )
    return lines
