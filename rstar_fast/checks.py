"""Checks of option values. Each one raises `ConfigError` with the option's name and the value."""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from rstar_fast.errors import ConfigError


def check_integer(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise `ConfigError` unless a value is an integer in low..high. True and False are refused.

    >>> check_integer("epochs", 2, low=1)
    >>> check_integer("epochs", 0, low=1)
    Traceback (most recent call last):
    rstar_fast.errors.ConfigError: epochs: expected an integer of at least 1, got 0

    Args:
        name: Name of the option.
        value: Its value.
        low: Lowest integer allowed.
        high: Highest integer allowed. None for no limit.
    """
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        wanted = f"of at least {low}" if high is None else f"in {low}..{high}"
        raise ConfigError(f"{name}: expected an integer {wanted}, got {value!r}")


def check_number(
    name: str,
    value: object,
    low: float,
    high: float | None = None,
    *,
    low_excluded: bool = False,
    high_excluded: bool = False,
) -> None:
    """Raise `ConfigError` unless a value is a finite number in a range. True and False are refused.

    >>> check_number("top_p", 0, low=0, high=1, low_excluded=True)
    Traceback (most recent call last):
    rstar_fast.errors.ConfigError: top_p: expected a number in (0, 1], got 0

    Args:
        name: Name of the option.
        value: Its value.
        low: Lower end of the range.
        high: Upper end of the range. None for no limit.
        low_excluded: Whether `low` itself is refused.
        high_excluded: Whether `high` itself is refused.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        above = value > low if low_excluded else value >= low
        end = sys.float_info.max if high is None else high
        below = value < end if high_excluded else value <= end
        if above and below:
            return
    if high is None:
        wanted = f"above {low:g}" if low_excluded else f"of at least {low:g}"
    else:
        opening, closing = "(" if low_excluded else "[", ")" if high_excluded else "]"
        wanted = f"in {opening}{low:g}, {high:g}{closing}"
    raise ConfigError(f"{name}: expected a number {wanted}, got {value!r}")


def check_boolean(name: str, value: object) -> None:
    """Raise `ConfigError` unless a value is True or False.

    Args:
        name: Name of the option.
        value: Its value.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: expected true or false, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise `ConfigError` unless a value is one of some names.

    Args:
        name: Name of the option.
        value: Its value.
        choices: Names allowed.
    """
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def check_known(
    names: Iterable[str], known: Iterable[str], *, kind: str = "option", where: str = ""
) -> None:
    """Raise `ConfigError` unless all names are known. The error says which name may be meant.

    >>> check_known(["epoch"], ["epochs", "seed"])
    Traceback (most recent call last):
    rstar_fast.errors.ConfigError: unknown option 'epoch' (did you mean 'epochs'?); options: epochs, seed

    Args:
        names: Names that were given.
        known: Names that exist.
        kind: Kind of what is named.
        where: Beginning of the error's message, as in "evolve.toml: ".
    """  # noqa: E501
    known = list(known)
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            listed = ", ".join(known) or "none"
            raise ConfigError(f"{where}unknown {kind} {name!r}{hint}; {kind}s: {listed}")
