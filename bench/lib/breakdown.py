"""Where the time of a search went, by resource."""

from typing import Any

from rstar_fast.search import Searcher
from rstar_fast.search.activity import RESOURCES

Totals = dict[str, tuple[int, int, float, float]]
COLUMNS = ("busy", "starved", "requests_per_s", "mean_batch")


def totals(searcher: Searcher) -> Totals:
    """Requests, batches, busy seconds and seconds with anything open of each resource so far."""
    found = {}
    for name in RESOURCES:
        one = searcher.stats.resources[name]
        found[name] = (one.requests, one.batches, one.busy_s or one.open_s, one.open_s)
    return found


def breakdown(before: Totals, after: Totals, wall_s: float) -> dict[str, dict[str, Any]]:
    """What happened between two `totals`: the shares of the wall time that each resource was busy (see `Stats.record`) and had
    nothing to do, requests answered per second, and how many at a time."""
    rows = {}
    for name in RESOURCES:
        requests, batches, busy_s, open_s = (
            now - was for now, was in zip(after[name], before[name], strict=True)
        )
        rows[name] = {
            "busy": min(1.0, busy_s / wall_s),
            "starved": max(0.0, 1.0 - max(open_s, busy_s) / wall_s),
            "requests_per_s": requests / wall_s,
            "mean_batch": requests / max(1, batches),
        }
    return rows
