"""Checked reading of the fields of a server's answer."""

from collections.abc import Mapping
from typing import Any

from rstar_fast.remote.http import MalformedError

_MOST_TOKEN = 2**31 - 1
_LARGE = 1e30


def field(value: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Return a field of a JSON object.

    Raises:
        MalformedError: It is missing, or of another type.
    """
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(each.__name__ for each in kinds)
        got = type(found).__name__ if isinstance(value, dict) else f"no object for {name}"
        raise MalformedError(f"{name}: expected {wanted}, got {got}")
    return found


def list_field(value: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list that may be missing."""
    return field(value, name, list) if value.get(name) is not None else []


def count_field(value: Mapping[str, Any], name: str) -> int:
    """Return a number of tokens, and 0 where a server gives none."""
    found = value.get(name)
    return min(max(found, 0), _MOST_TOKEN) if type(found) is int else 0


def token_of(value: object) -> int:
    """Return a token id.

    Raises:
        MalformedError: It is none.
    """
    if type(value) is not int or not 0 <= value <= _MOST_TOKEN:
        raise MalformedError(f"token ids: expected integers of 32 bits, got {str(value)[:40]}")
    return value


def logprob_of(value: object) -> float:
    """Return a log-probability.

    Raises:
        MalformedError: It is no finite number.
    """
    if type(value) not in (int, float) or not -_LARGE < value < _LARGE:  # type: ignore[operator]
        raise MalformedError(f"log-probabilities: expected finite numbers, got {str(value)[:40]}")
    return float(value)  # type: ignore[arg-type]
