"""Options as frozen dataclasses with named presets."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Self

from rstar_fast.checks import check_known


class Options:
    """The base of dataclasses whose fields are options. Each field has a default.

    Attributes:
        presets: Options that differ from the defaults, by the name of the preset.
    """

    __slots__ = ()
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return a preset, with some options changed.

        Raises:
            ConfigError: The preset or an option is unknown, or a value is out of range.
        """
        check_known([name], cls.presets, kind="preset")
        return cls.from_dict({**cls.presets[name], **changes})

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Make options from plain values. Options that are left out keep their defaults.

        Raises:
            ConfigError: An option is unknown, or a value is out of range.
        """
        check_known(options, [field.name for field in fields(cls)])  # type: ignore[arg-type]
        return cls(**options)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `from_dict` takes them."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some options changed."""
        return self.from_dict({**self.to_dict(), **changes})
