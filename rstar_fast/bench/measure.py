"""One measurement: a search without end, of which some windows are measured."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rstar_fast.bench.machine import Windows
from rstar_fast.bench.request_times import ExpansionTime, RequestTimes
from rstar_fast.bench.resident import forget_peak, peak_bytes, resident_bytes
from rstar_fast.bench.simulated import SimulatedPolicy
from rstar_fast.errors import SearchError
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.activity import RESOURCES

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Measured:
    """What a measurement has found.

    Attributes:
        report: Plain values, see docs/benchmarks.md.
        expansions: Expansions that ended while it was measured.
    """

    report: dict[str, Any]
    expansions: list[ExpansionTime]


def measure(
    searcher: Searcher, problems: Iterable[Problem], windows: Windows, say: Callable[[str], None]
) -> Measured:
    """Search problems without end, and measure some windows.

    Args:
        searcher: Searcher, whose observer is replaced.
        problems: Problems without end.
        windows: Times.
        say: Function that is told what goes on, about once a second.

    Raises:
        SearchError: Problems have run out, or the search broke.
    """
    times = RequestTimes()
    searcher.observer = times
    broken: list[BaseException] = []

    def consume() -> None:
        try:
            deque(searcher.search(problems), maxlen=0)
        except BaseException as error:
            broken.append(error)

    forget_peak()
    held = resident_bytes()
    thread = threading.Thread(target=consume, name="consumer of a bench")
    thread.start()
    try:
        began = time.perf_counter()

        def wait_until(end: float, what: str) -> None:
            while (left := end - time.perf_counter()) > 0:
                if not thread.is_alive():
                    raise SearchError("the search ended before it was measured") from (
                        broken[0] if broken else None
                    )
                say(f"{what}: {left:.0f} s left; {len(times.problems)} problems have ended")
                time.sleep(min(1.0, left))

        wait_until(began + windows.warm_up_s, "warm-up")
        while not searcher.stats.resources["policy"].requests:
            wait_until(time.perf_counter() + 0.5, "warm-up, until the first expansion")
        counts = [_counts(searcher, times)]
        for window in range(windows.count):
            end = counts[0]["wall_s"] + (window + 1) * windows.seconds
            wait_until(end, f"window {window + 1} of {windows.count}")
            counts.append(_counts(searcher, times))
        peak = peak_bytes() - held
    finally:
        searcher.close()
        thread.join()
        searcher.observer = None
    first, last = counts[0], counts[-1]
    expansions = times.finished(first["wall_s"], last["wall_s"])
    ended = [end - start for start, end in times.problems if first["wall_s"] <= end]
    parts = [_rates(before, after) for before, after in pairwise(counts)]
    report = {
        "rates": {name: _spread([part[name] for part in parts]) for name in parts[0]},
        "latency_s": {
            "expansion": percentiles([one.told_s - one.asked_s for one in expansions]),
            "problem": percentiles(ended),
        },
        "resources": _resources(first, last),
        "cached": _cached(first, last),
        "peak_bytes_per_problem": peak / searcher.config.max_active,
        "failures": times.num_failures,
        "last_failure": times.last_failure,
    }
    return Measured(report, expansions)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the number of some durations and their percentiles."""
    if not seconds:
        return {"n": 0}
    found = np.percentile(np.asarray(seconds), PERCENTILES)
    names = (f"p{percent}" for percent in PERCENTILES)
    return {"n": len(seconds), **dict(zip(names, map(float, found), strict=True))}


def _counts(searcher: Searcher, times: RequestTimes) -> dict[str, Any]:
    """Return running totals of now. `clock_s` leaves out what a simulated machine was late."""
    now = time.perf_counter()
    idle_s, open_s = times.totals()
    policy: Any = searcher.policy
    scorer = getattr(searcher.scorer, "stats", None)
    return {
        "wall_s": now,
        "clock_s": policy.clock.now() if isinstance(policy, SimulatedPolicy) else now,
        "problems": len(times.problems),
        "tokens": policy.stats.generated_tokens,
        "idle": idle_s,
        "open": open_s,
        "resources": {
            name: (one.requests, one.batches, one.busy_s or one.open_s)
            for name, one in searcher.stats.resources.items()
        },
        "policy": (policy.stats.reused_tokens, policy.stats.encoded_tokens),
        "ppm": (scorer.reused_tokens, scorer.encoded_tokens) if scorer else (0, 0),
    }


def _rates(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    took = after["clock_s"] - before["clock_s"]
    requests = {
        name: after["resources"][name][0] - before["resources"][name][0] for name in RESOURCES
    }
    return {
        "tokens_per_s": (after["tokens"] - before["tokens"]) / took,
        "expansions_per_s": requests["policy"] / took,
        "programs_per_s": requests["execution"] / took,
        "problems_per_s": (after["problems"] - before["problems"]) / took,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def _resources(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each resource did: see docs/benchmarks.md."""
    wall_s = after["wall_s"] - before["wall_s"]
    rows: dict[str, dict[str, Any]] = {}
    for name in RESOURCES:
        requests, batches, busy_s = (
            now - was
            for now, was in zip(after["resources"][name], before["resources"][name], strict=True)
        )
        rows[name] = {
            "busy": min(1.0, busy_s / wall_s),
            "requests_per_s": requests / wall_s,
            "mean_batch": requests / max(1, batches),
        }
        if name != "tree":
            rows[name]["in_flight"] = (after["open"][name] - before["open"][name]) / wall_s
            waited = {
                other: (after["idle"][name][other] - before["idle"][name][other]) / wall_s
                for other in RESOURCES
            }
            rows[name]["idle"] = sum(waited.values())
            rows[name]["idle_for"] = {other: share for other, share in waited.items() if share}
    return rows


def _cached(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float | None]:
    """Return the share of prefix tokens that were not encoded again. None where nobody tells."""
    found: dict[str, float | None] = {}
    for name in ("policy", "ppm"):
        reused, encoded = (now - was for now, was in zip(after[name], before[name], strict=True))
        found[name] = reused / (reused + encoded) if reused + encoded else None
    return found
