"""A trace of what every resource did when, for Perfetto (ui.perfetto.dev) or chrome://tracing."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rstar_fast.search import Searcher
from rstar_fast.search.activity import Activity
from rstar_fast.verify.base import Observation, StepRunner


@contextmanager
def profiled(searcher: Searcher, path: str | None) -> Iterator[None]:
    """Write a trace of the searches that are made within this context.

    It shows the calls of the models, the work on the trees, each program, and the number of open
    requests of each resource.

    Args:
        searcher: Searcher whose activities and runner are replaced meanwhile.
        path: Path of the trace file. None to trace nothing.
    """
    if path is None:
        yield
        return
    events: list[dict[str, Any]] = []
    resources, runner = searcher.stats.resources, searcher.runner
    for track, name in enumerate(list(resources)):
        resources[name] = _TracedActivity(events, name, track)
        events.append(
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": track, "args": {"name": name}}
        )
    searcher.runner = _TracedRunner(events, runner)
    try:
        yield
    finally:
        searcher.runner = runner
        Path(path).write_text(json.dumps({"traceEvents": events}), encoding="utf-8")
        print(f"trace of {len(events):,} events: {path}")


class _TracedActivity(Activity):
    """An activity that also writes down what it counts."""

    def __init__(self, events: list[dict[str, Any]], name: str, track: int) -> None:
        super().__init__()
        self._events = events
        self._name = name
        self._track = track

    def called(self, started: float, requests: int) -> None:
        super().called(started, requests)
        duration = (time.perf_counter() - started) * 1e6
        span = {
            "name": self._name,
            "ph": "X",
            "pid": 1,
            "tid": self._track,
            "ts": started * 1e6,
            "dur": duration,
        }
        self._events.append({**span, "args": {"answers": requests}})

    def opened(self, count: int) -> None:
        super().opened(count)
        counter = {
            "name": f"{self._name}: open requests",
            "ph": "C",
            "pid": 1,
            "ts": time.perf_counter() * 1e6,
        }
        self._events.append({**counter, "args": {"open": self.open}})


class _TracedRunner:
    """A runner that writes down from when to when every program waited and ran."""

    def __init__(self, events: list[dict[str, Any]], runner: StepRunner) -> None:
        self._events = events
        self._runner = runner
        self._ids = itertools.count()

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        span = {
            "name": "program",
            "cat": "program",
            "pid": 1,
            "tid": 100,
            "id": f"{next(self._ids):x}",
        }
        self._events.append({**span, "ph": "b", "ts": time.perf_counter() * 1e6})
        future = self._runner.submit(steps)
        future.add_done_callback(
            lambda _: self._events.append({**span, "ph": "e", "ts": time.perf_counter() * 1e6})
        )
        return future

    def close(self) -> None:
        self._runner.close()
