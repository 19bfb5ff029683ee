"""Counts of how the resources of a search spend their time."""

import time
from dataclasses import dataclass, field
from typing import Any

RESOURCES = ("policy", "scoring", "execution", "grading", "tree")
"""Names of the resources: two models, two pools of workers, and the thread of the trees."""


@dataclass(slots=True)
class Activity:
    """Running totals of one resource.

    The thread that calls a model counts its calls. The thread of the trees counts open requests.

    Attributes:
        requests: Number of requests that were answered. For "tree", number of results taken in.
        batches: Number of calls that answered them. A program or a grade is one call.
        busy_s: Seconds spent in calls.
        open: Number of requests that were handed over and are not answered yet.
        open_s: Seconds during which any request was open.
        open_seconds: Integral of `open` over time, in requests times seconds.
    """

    requests: int = 0
    batches: int = 0
    busy_s: float = 0.0
    open: int = 0
    open_s: float = 0.0
    open_seconds: float = 0.0
    _changed_at: float = 0.0

    def called(self, started: float, requests: int) -> None:
        """Count a call that began at `started` (by `time.perf_counter`) and ends now."""
        self.busy_s += time.perf_counter() - started
        self.requests += requests
        self.batches += 1

    def opened(self, count: int) -> None:
        """Count requests that were handed over. A negative number counts answered ones."""
        now = time.perf_counter()
        if self.open:
            self.open_s += now - self._changed_at
            self.open_seconds += (now - self._changed_at) * self.open
        self.open += count
        self._changed_at = now


@dataclass(slots=True)
class Stats:
    """Work of all resources, summed over the searches of one `Searcher`.

    Attributes:
        wall_s: Seconds of searching so far.
        resources: Totals by resource, under the names in `RESOURCES`.
    """

    wall_s: float = 0.0
    resources: dict[str, Activity] = field(
        default_factory=lambda: {name: Activity() for name in RESOURCES}
    )

    def record(self) -> dict[str, Any]:
        """Return plain values for each resource that was used.

        `busy_s` is the time with a call, a program or a grade under way. `starved_s` is the time
        with nothing to do. `mean_batch` is the number of requests answered per call. `mean_open` is
        the number of requests that waited or were under way, on average over the wall time.
        """
        used = {name: self._record(one) for name, one in self.resources.items() if one.requests}
        return {"wall_s": round(self.wall_s, 3), "resources": used}

    def _record(self, one: Activity) -> dict[str, float]:
        busy_s = one.busy_s or one.open_s
        return {
            "requests": one.requests,
            "busy_s": round(busy_s, 3),
            "starved_s": round(max(0.0, self.wall_s - max(one.open_s, busy_s)), 3),
            "mean_batch": round(one.requests / max(1, one.batches), 2),
            "mean_open": round(one.open_seconds / max(1e-9, self.wall_s), 2),
        }
