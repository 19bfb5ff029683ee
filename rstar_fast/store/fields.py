"""Checks of the fields of a record, which may hold anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """The values that a field may have.

    Attributes:
        types: Types that JSON values of the field have.
        choices: Values allowed. None for all of the types.
    """

    types: frozenset[type]
    choices: frozenset[Any] | None = None

    @classmethod
    def of(cls, hint: Any) -> "Kind":
        """Return the kind that a type hint names. Items of lists and objects are not checked."""
        if get_origin(hint) is Literal:
            choices = frozenset(get_args(hint))
            return cls(frozenset(map(type, choices)), choices)
        hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        types = {get_origin(one) or one for one in hints}
        # JSON writes whole floats as integers, and tuples as lists.
        types |= {int} if float in types else set()
        types |= {list} if tuple in types else set()
        return cls(frozenset(types))


def check_fields(record: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Raise `ValueError` unless all fields of a record are known, and of their kinds.

    Fields may be missing. Integers must fit into 64 bits, and floats be finite.
    """
    for name, value in record.items():
        kind = kinds.get(name)
        if kind is None:
            raise ValueError(f"unknown field {name[:60]!r}")
        type_ = type(value)
        if (
            type_ not in kind.types
            or (kind.choices is not None and value not in kind.choices)
            or (type_ is int and not -MAX_INTEGER <= value <= MAX_INTEGER)
            or (type_ is float and not isfinite(value))
        ):
            raise ValueError(f"{name}: expected {_wanted(kind)}, got {_shown(value)}")


def _wanted(kind: Kind) -> str:
    if kind.choices is not None:
        return "one of " + ", ".join(sorted(map(repr, kind.choices)))
    names = {NoneType: "null", dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    names |= {int: "an integer of 64 bits", float: "a finite number"}
    shown = [name for type_, name in names.items() if type_ in kind.types]
    return " or ".join(shown)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "a longer integer"
    return repr(value[:60] if isinstance(value, str) else value)
