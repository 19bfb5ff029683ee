"""What the resources of a search did with their time."""

import time
from dataclasses import dataclass, field
from typing import Any

RESOURCES = ("policy", "scoring", "execution", "grading", "tree")
"""What a search uses: two models, two pools of worker processes, and the thread that keeps the trees."""


@dataclass(slots=True)
class Activity:
    """Running totals of one resource. Calls are counted by the thread that makes them, open requests by the thread of the trees.

    Attributes:
        requests: requests it answered (tree: answers it took in).
        batches: calls this took; a program or a grade is one.
        busy_s: seconds in calls.
        open: requests handed to it and not answered yet.
        open_s: seconds in which any was open.
        open_seconds: integral of `open` over time, requests times seconds.
    """

    requests: int = 0
    batches: int = 0
    busy_s: float = 0.0
    open: int = 0
    open_s: float = 0.0
    open_seconds: float = 0.0
    _changed_at: float = 0.0

    def called(self, started: float, requests: int) -> None:
        """Count a call that began at `started` (of `time.perf_counter`), ends now and answered some requests."""
        self.busy_s += time.perf_counter() - started
        self.requests += requests
        self.batches += 1

    def opened(self, count: int) -> None:
        """Count requests handed over; negative for those answered."""
        now = time.perf_counter()
        if self.open:
            self.open_s += now - self._changed_at
            self.open_seconds += (now - self._changed_at) * self.open
        self.open += count
        self._changed_at = now


@dataclass(slots=True)
class Stats:
    """What all resources did, summed over the searches of one `Searcher`.

    Attributes:
        wall_s: seconds of searching, up to now or to the end of the last one.
        resources: by the names of `RESOURCES`.
    """

    wall_s: float = 0.0
    resources: dict[str, Activity] = field(
        default_factory=lambda: {name: Activity() for name in RESOURCES}
    )

    def record(self) -> dict[str, Any]:
        """Plain values for each resource that was used.

        `busy_s`: seconds in calls of a model, with a program or grade under way, in tree work. `starved_s`: seconds in which there
        was nothing for it to do. `mean_batch`: requests answered per call. `mean_open`: requests that waited for it or were under
        way, on average over the wall time.
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
