"""What confines the programs on this machine, and whether that is enough."""

from dataclasses import dataclass
from typing import Any

from rstar_fast.errors import IsolationError

_REQUIRED = ("resource limits", "no new privileges", "dropped privileges", "seccomp")
_FILES = ("landlock", "private file system")


@dataclass(frozen=True, slots=True)
class Isolation:
    """What confines the programs.

    Attributes:
        means: every means, by name, with "" if it is in force or else the reason why it is not.
    """

    means: dict[str, str]

    @classmethod
    def of(cls, report: dict[str, Any]) -> "Isolation":
        """What a supervisor reports."""
        return cls({str(name): str(reason) for name, reason in report["isolation"].items()})

    @property
    def missing(self) -> list[str]:
        """What it would take to be sufficient: limits, privileges that are dropped for good, seccomp, and one of Landlock and a
        private file system. The namespaces are a second fence behind these.
        """
        missing = [
            f"{name} ({self.means[name]})"
            for name in _REQUIRED
            if self.means.get(name, "not tried")
        ]
        if all(self.means.get(name, "not tried") for name in _FILES):
            missing.append(" or ".join(f"{name} ({self.means.get(name)})" for name in _FILES))
        return missing

    def require(self) -> None:
        """Raise `IsolationError` unless it is sufficient."""
        if self.missing:
            raise IsolationError(
                f"programs cannot be isolated on this machine; missing: {'; '.join(self.missing)}"
            )
