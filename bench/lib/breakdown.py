"""The time of a search by resource: models, worker processes and the thread of the trees."""

from typing import Any

from rstar_fast.search import Searcher
from rstar_fast.search.activity import RESOURCES

Totals = dict[str, tuple[int, int, float, float]]
"""By resource: requests, batches, busy seconds, seconds with any request open."""
COLUMNS = ("busy", "starved", "requests_per_s", "mean_batch")


def totals(searcher: Searcher) -> Totals:
    """Return what each resource of a searcher has done so far."""
    found = {}
    for name in RESOURCES:
        one = searcher.stats.resources[name]
        found[name] = (one.requests, one.batches, one.busy_s or one.open_s, one.open_s)
    return found


def breakdown(before: Totals, after: Totals, wall_s: float) -> dict[str, dict[str, Any]]:
    """Return what each resource did between two `totals`.

    Args:
        before: Totals at the beginning.
        after: Totals at the end.
        wall_s: Wall time in between, seconds.

    Returns:
        By resource, the `COLUMNS`: the share of the wall time in which it was busy (see
        `Stats.record`), the share in which it had nothing to do, the requests that it answered per
        second, and the mean number of requests in a batch.
    """
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
