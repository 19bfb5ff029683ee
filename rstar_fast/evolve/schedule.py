"""The schedule: which stage starts when.

Each stage has a process of its own. Several run at a time.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rstar_fast.errors import StageError
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.stage import Stage

LOGS = "logs"
"""Name of the folder with what the stages' processes print."""

_POLL_S = 0.05


class Process(Protocol):
    """The process of a stage, as `subprocess.Popen` has it.

    Attributes:
        returncode: Exit status, or the negative number of the signal that ended it. None before its
            end is known.
    """

    returncode: Any

    def poll(self) -> int | None:
        """Look whether it has ended, and return its exit status or None."""

    def kill(self) -> None:
        """Kill it, if it runs."""

    def wait(self) -> int:
        """Wait for its end and return its exit status."""


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A stage's start or end.

    Attributes:
        kind: "started", "done" or "failed". A stage that was finished before is "done" at once.
        stage: The stage.
        manifest: Manifest of a stage that is done. None otherwise.
        reason: Reason of a failure. Empty otherwise.
    """

    kind: Literal["started", "done", "failed"]
    stage: Stage
    manifest: dict[str, Any] | None = None
    reason: str = ""


def schedule(
    stages: list[Stage],
    run: Path,
    processes: int,
    start: Callable[[Stage], Process],
) -> Iterator[StageEvent]:
    """Start each stage as soon as what it needs is finished, the earliest of the plan first.

    After a failure no other stage starts. The stages under way are finished first.

    Args:
        stages: All stages, each after those that it needs.
        run: Folder of the self-evolution.
        processes: Number of stages at once, >= 1.
        start: Function that starts the process of a stage. The process writes to `log_of`.

    Raises:
        StageError: A stage failed.
        StoreError: A manifest is damaged.
    """
    done: set[str] = set()
    for stage in stages:
        if manifest := read_manifest(run / stage.name):
            done.add(stage.name)
            yield StageEvent("done", stage, manifest)
    waiting = [stage for stage in stages if stage.name not in done]
    running: dict[str, tuple[Stage, Process]] = {}
    failed: list[StageEvent] = []
    try:
        while True:
            ready = [stage for stage in waiting if done.issuperset(stage.needs)]
            for stage in [] if failed else ready[: processes - len(running)]:
                waiting.remove(stage)
                running[stage.name] = (stage, start(stage))
                yield StageEvent("started", stage)
            if not running:
                break
            for stage, process in list(running.values()):
                if process.poll() is None:
                    continue
                del running[stage.name]
                if process.returncode == 0 and (manifest := read_manifest(run / stage.name)):
                    done.add(stage.name)
                    yield StageEvent("done", stage, manifest)
                else:
                    reason = _reason(run, stage, process.returncode)
                    failed.append(StageEvent("failed", stage, reason=reason))
                    yield failed[-1]
            time.sleep(_POLL_S)
    finally:
        for _, process in running.values():
            process.kill()
            process.wait()
    if failed:
        stage = failed[0].stage
        raise StageError(
            f"{stage.name}: {failed[0].reason}\n(its whole output: {log_of(run, stage)}); "
            "once that is mended, the same command goes on from there"
        )


def log_of(run: Path, stage: Stage) -> Path:
    """Return the file that holds what the stage's process prints."""
    return run / LOGS / f"{stage.name.replace('/', '-')}.txt"


def _reason(run: Path, stage: Stage, returncode: int) -> str:
    """Return why a stage's process ended: its last line, after its exit status unless that is 1."""
    text = log_of(run, stage).read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if returncode == 1 and lines:
        return lines[-1]
    how = f"ended by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
    return f"{how}; {lines[-1] if lines else 'it printed nothing'}"
