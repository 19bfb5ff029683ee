"""The means that confine programs on this machine, and whether they suffice.

Runs in the main process.
"""

from dataclasses import dataclass
from typing import Any

from rstar_fast.errors import IsolationError

_REQUIRED = ("resource limits", "no new privileges", "dropped privileges", "seccomp")
_EITHER = ("landlock", "private file system")
"""Means of which only one is required."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """The means that confine programs.

    Attributes:
        means: Reasons why a means is not in force, keyed by its name. "" if it is in force.
    """

    means: dict[str, str]

    @classmethod
    def of(cls, report: dict[str, Any]) -> "Isolation":
        """Return the isolation that a supervisor's report tells."""
        return cls({str(name): str(reason) for name, reason in report["isolation"].items()})

    @property
    def missing(self) -> list[str]:
        """Names and reasons of the required means that are not in force. Empty if none is.

        Required are resource limits, dropped privileges that cannot come back, seccomp, and one of
        Landlock and a private file system. The namespaces are a second line of defence.
        """
        reasons = {name: self.means.get(name, "not tried") for name in (*_REQUIRED, *_EITHER)}
        missing = [f"{name} ({reasons[name]})" for name in _REQUIRED if reasons[name]]
        if all(reasons[name] for name in _EITHER):
            missing.append(" or ".join(f"{name} ({reasons[name]})" for name in _EITHER))
        return missing

    @property
    def weaker(self) -> list[str]:
        """Names and reasons of all means that are not in force. Empty if nothing is weaker."""
        return [f"{name} ({reason})" for name, reason in self.means.items() if reason]

    def require(self, strict: bool = False) -> None:
        """Raise `IsolationError` unless all required means are in force.

        Args:
            strict: Whether all means there are count as required.
        """
        missing = self.missing or (self.weaker if strict else [])
        if missing:
            raise IsolationError(
                f"programs cannot be isolated on this machine; missing: {'; '.join(missing)}. "
                "To run them all the same: --unconfined, or require_isolation=False"
            )
