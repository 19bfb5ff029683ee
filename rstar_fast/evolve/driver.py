"""Doing all stages of a self-evolution that are not finished."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.evolve.config import SOURCES, EvolveConfig
from rstar_fast.evolve.plan import plan, training_first
from rstar_fast.evolve.schedule import LOGS, StageEvent, log_of, schedule
from rstar_fast.evolve.stage import Stage
from rstar_fast.evolve.stage_processes import StageProcess, StageProcesses
from rstar_fast.store.config_file import (
    CONFIG,
    as_json,
    read_config,
    refuse_other_config,
    write_config,
)
from rstar_fast.store.lock import FolderLock
from rstar_fast.verify.pool.machine import require_linux, usable_cores


def evolve(
    options: Mapping[str, Any],
    run: str | Path,
    *,
    processes: int = 1,
    workers: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    unconfined: bool = False,
) -> Iterator[StageEvent]:
    """Do every stage that is not finished, and yield its start and its end.

    A run that was killed goes on when this is called again, and comes to the same end.

    Args:
        options: Options of the self-evolution, see `read_options`.
        run: Folder of the run, made if missing.
        processes: Number of stages at once, >= 1.
        workers: Number of processes that run programs, for each search, >= 1. None for one per
            core.
        device: Device of all models, as in "cuda:0". None for a GPU where there is one.
        threads: Number of threads of each stage's process, >= 1. None shares the cores out.
        unconfined: Whether the programs of steps are run even where this machine cannot confine
            them well, see `Executor(require_isolation=True)`.

    Raises:
        ConfigError: An option is unknown or has a wrong value.
        StoreError: The folder was begun with other options, it is in use, or the disk refuses.
        ExecutorError: This is not Linux.
        StageError: A stage failed. The stages under way were finished first.
    """
    require_linux("rounds of self-evolution")
    config = EvolveConfig.from_dict(options)
    if processes < 1:
        raise ConfigError(f"processes: expected at least 1, got {processes}")
    run = Path(run)
    flags = ["--workers", str(workers)] if workers else []
    flags += ["--device", device] if device else []
    flags += ["--unconfined"] if unconfined else []
    num_threads = threads or max(1, usable_cores() // processes)
    environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads)}
    with (
        closing(_begin(run, {"options": dict(options), "files": _digests(config)})),
        closing(StageProcesses(environment, run / LOGS / "server.txt")) as server,
    ):

        def start(stage: Stage) -> StageProcess:
            return server.start([str(run), stage.name, *flags], log_of(run, stage))

        stages = plan(config)
        yield from schedule(
            training_first(stages) if processes > 1 else stages, run, processes, start
        )


def _begin(run: Path, config: dict[str, Any]) -> FolderLock:
    """Make the folder or check that it was made by the same configuration. Returns its lock."""
    wanted = as_json(config)
    try:
        (run / LOGS).mkdir(parents=True, exist_ok=True)
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
    """Return the digests of the problem files, since a file that changed is another configuration.

    The keys are the options' names, with the place in the list for all files but the first.
    """
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
