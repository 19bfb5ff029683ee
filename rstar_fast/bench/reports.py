"""Reports of benches: files with a fixed schema, tables, and two of them side by side."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.table import Table

from rstar_fast.errors import StoreError

SCHEMA = "rstar-fast-bench/1"
_PACKAGES = ("rstar_fast", "numpy", "torch", "transformers", "vllm")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found["cores"] = str(os.cpu_count())
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_report(path: str | Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    Path(path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def read_report(path: str | Path) -> dict[str, Any]:
    """Read a report.

    Raises:
        StoreError: The file is no report of this schema.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path}: expected a report as JSON: {error}") from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise StoreError(f"{path}: expected a report of schema {SCHEMA!r}, got {schema!r:.40}")
    return dict(report)


def rates_table(report: dict[str, Any]) -> Table:
    """Return a table of the rates and the waiting times."""
    table = Table("", "median", "min", "max", title="Rates, by window")
    for name, one in report["rates"].items():
        table.add_row(name, *(f"{one[column]:,.2f}" for column in ("median", "min", "max")))
    return table


def latency_table(report: dict[str, Any]) -> Table:
    """Return a table of the waiting times."""
    table = Table("seconds per", "n", "p50", "p90", "p99", title="Waiting times")
    for name, one in report["latency_s"].items():
        cells = (f"{one[column]:.3f}" if column in one else "" for column in ("p50", "p90", "p99"))
        table.add_row(name, str(one["n"]), *cells)
    return table


def resources_table(report: dict[str, Any]) -> Table:
    """Return a table of what each resource did, and of what it waited for."""
    table = Table("", "busy", "in flight", "requests/s", "mean batch", "idle", "while it was with")
    for name, one in report["resources"].items():
        reasons = sorted(one.get("idle_for", {}).items(), key=lambda found: -found[1])
        words = ", ".join(f"{other} {share:.0%}" for other, share in reasons if share >= 0.005)
        table.add_row(
            name,
            f"{one['busy']:.1%}",
            f"{one['in_flight']:.1f}" if "in_flight" in one else "",
            f"{one['requests_per_s']:.1f}",
            f"{one['mean_batch']:.1f}",
            f"{one['idle']:.1%}" if "idle" in one else "",
            words,
        )
    return table


def compared(first: dict[str, Any], second: dict[str, Any]) -> Table:
    """Return a table of two reports. A ratio above 1 is a larger second value."""
    table = Table("", "first", "second", "ratio", "windows overlap")
    for name, one in first["rates"].items():
        other = second["rates"][name]
        overlap = one["min"] <= other["max"] and other["min"] <= one["max"]
        _add(table, name, one["median"], other["median"], "yes" if overlap else "no")
    for name, one in first["latency_s"].items():
        for column in ("p50", "p90", "p99"):
            other = second["latency_s"][name]
            if column in one and column in other:
                _add(table, f"{name} {column}, s", one[column], other[column])
    name = "peak_bytes_per_problem"
    _add(table, name, first[name], second[name])
    return table


def _add(table: Table, name: str, one: float, other: float, overlap: str = "") -> None:
    ratio = f"{other / one:.3f}" if one else ""
    table.add_row(name, f"{one:,.3f}", f"{other:,.3f}", ratio, overlap)
