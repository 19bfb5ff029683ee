"""All stages of a self-evolution, each in a process of its own, several at a time; what is finished is never done again."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rstar_fast.errors import ConfigError, StageError, StoreError
from rstar_fast.evolve.config import SOURCES, EvolveConfig
from rstar_fast.evolve.plan import plan, training_first
from rstar_fast.evolve.stage import Stage, read_manifest
from rstar_fast.store.config_file import (
    CONFIG,
    as_json,
    read_config,
    refuse_other_config,
    write_config,
)
from rstar_fast.store.lock import FolderLock

_POLL_S = 0.05
_LOGS = "logs"


@dataclass(frozen=True, slots=True)
class StageEvent:
    """Something that happened to a stage.

    Attributes:
        kind: "done" comes also for what was finished before.
        stage: to which.
        manifest: of a stage that is done.
        reason: of a failure.
    """

    kind: Literal["started", "done", "failed"]
    stage: Stage
    manifest: dict[str, Any] | None = None
    reason: str = ""


def evolve(
    options: Mapping[str, Any],
    run: str | Path,
    *,
    processes: int = 1,
    workers: int | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Iterator[StageEvent]:
    """Do every stage that is not finished. Killed and called again it goes on, to the same end.

    Args:
        options: see `read_options`.
        run: folder, made if missing.
        processes: stages at once, >= 1.
        workers: processes for programs of each search; None for one per core.
        device: of all models; None for a GPU where there is one.
        threads: of each process, >= 1; None shares the cores out.

    Raises:
        ConfigError: the options say what is not understood.
        StoreError: the folder was begun with other options, or is in use, or the disk refuses.
        StageError: a stage failed; those under way were finished first.
    """
    config = EvolveConfig.from_dict(options)
    if processes < 1:
        raise ConfigError(f"processes: expected at least 1, got {processes}")
    run = Path(run)
    with ExitStack() as stack:
        stack.callback(_begin(run, {"options": dict(options), "files": _digests(config)}).close)
        flags = ["--parent", str(os.getpid())]
        flags += ["--workers", str(workers)] if workers else []
        flags += ["--device", device] if device else []
        each = threads or max(1, len(os.sched_getaffinity(0)) // processes)
        environment = {**os.environ, "OMP_NUM_THREADS": str(each)}

        def start(stage: Stage) -> "subprocess.Popen[bytes]":
            command = [
                sys.executable,
                "-m",
                "rstar_fast.evolve.process",
                str(run),
                stage.name,
                *flags,
            ]
            with _log(run, stage).open("wb") as log:
                return subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                )

        stages = plan(config)
        yield from schedule(
            training_first(stages) if processes > 1 else stages, run, processes, start
        )


def schedule(
    stages: list[Stage],
    run: Path,
    processes: int,
    start: Callable[[Stage], "subprocess.Popen[bytes]"],
) -> Iterator[StageEvent]:
    """Start each stage as soon as what it needs is finished, the earliest of the plan first."""
    done: set[str] = set()
    for stage in stages:
        if manifest := read_manifest(run / stage.name):
            done.add(stage.name)
            yield StageEvent("done", stage, manifest)
    waiting = [stage for stage in stages if stage.name not in done]
    running: dict[str, tuple[Stage, subprocess.Popen[bytes]]] = {}
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
                    failed.append(
                        StageEvent("failed", stage, reason=_reason(run, stage, process.returncode))
                    )
                    yield failed[-1]
            time.sleep(_POLL_S)
    finally:
        for _, process in running.values():
            process.kill()
            process.wait()
    if failed:
        raise StageError(
            f"{failed[0].stage.name}: {failed[0].reason}\n(all it said: {_log(run, failed[0].stage)}); "
            "once that is mended, the same command goes on from there"
        )


def _begin(run: Path, config: dict[str, Any]) -> FolderLock:
    """Make the folder, or see that it was made by the same configuration."""
    wanted = as_json(config)
    try:
        (run / _LOGS).mkdir(parents=True, exist_ok=True)
        lock = FolderLock(run)
        try:
            if (run / CONFIG).exists():
                refuse_other_config(run, read_config(run), wanted)
            else:
                write_config(run, wanted)
        except BaseException:
            lock.close()
            raise
    except OSError as error:
        raise StoreError(
            f"{run}: not usable as the folder of a run: {error.strerror or error}"
        ) from error
    return lock


def _digests(config: EvolveConfig) -> dict[str, str]:
    """Of the problem files: a file that changed is another configuration."""
    files = {
        f"{name}[{place}]" if place else name: Path(source)
        for name in SOURCES
        for place, source in enumerate(getattr(config, name))
    }
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if path.is_file()
    }


def _log(run: Path, stage: Stage) -> Path:
    return run / _LOGS / f"{stage.name.replace('/', '-')}.txt"


def _reason(run: Path, stage: Stage, returncode: int) -> str:
    lines = [
        line
        for line in _log(run, stage).read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    how = f"ended by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
    return (
        lines[-1]
        if returncode == 1 and lines
        else f"{how}; {lines[-1] if lines else 'it said nothing'}"
    )
