"""The process that does one stage.

python -m rstar_fast.evolve.process RUN STAGE [--device D] [--workers N]
    [--unconfined] [--parent PID]
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rstar_fast.errors import ConfigError, RStarError
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.manifest import read_manifest, write_manifest
from rstar_fast.evolve.plan import plan
from rstar_fast.evolve.stage import (
    DataStage,
    PolicyStage,
    PPMStage,
    ResultsStage,
    RowsStage,
    SearchStage,
    Stage,
)
from rstar_fast.store.config_file import read_config
from rstar_fast.verify.pool.worker import die_with


def main(arguments: Sequence[str] | None = None) -> int:
    """Do a stage.

    Returns:
        0 if the stage is finished. 1 with the reason on the last line of standard error otherwise.
    """
    parser = argparse.ArgumentParser(description="Do one stage of a self-evolution.")
    parser.add_argument("run", type=Path, help="folder of the self-evolution")
    parser.add_argument("stage", help="name of the stage, as in round-1/policy")
    parser.add_argument("--device", help="device of the models")
    parser.add_argument("--workers", type=int, help="number of processes that run programs")
    parser.add_argument("--unconfined", action="store_true", help="isolation is not required")
    parser.add_argument("--parent", type=int, help="process id whose end ends this process too")
    args = parser.parse_args(arguments)
    if args.parent:
        die_with(args.parent)
    try:
        do(args.run, args.stage, args.device, args.workers, args.unconfined)
    except RStarError as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


def do(
    run: Path,
    name: str,
    device: str | None = None,
    workers: int | None = None,
    unconfined: bool = False,
) -> None:
    """Do a stage and write its manifest, unless it is finished.

    Args:
        run: Folder of the self-evolution.
        name: Name of the stage.
        device: Device of the models. None for a GPU where there is one.
        workers: Number of processes that run programs, >= 1. None for one per core.
        unconfined: Whether programs are run even where this machine cannot confine them well.

    Raises:
        RStarError: The stage cannot be done. What a search finished so far stays.
    """
    config = EvolveConfig.from_dict(read_config(run)["options"])
    stage = next((stage for stage in plan(config) if stage.name == name), None)
    if stage is None:
        raise ConfigError(f"{name!r}: no stage of {run}")
    for needed in stage.needs:
        if read_manifest(run / needed) is None:
            raise ConfigError(f"{name}: needs {needed}, which is not finished")
    if read_manifest(run / name) is not None:
        return
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    metrics = _work(stage, Context(run, config, device, workers, unconfined))
    write_manifest(run / name, stage, metrics, time.monotonic() - began, run)


def _work(stage: Stage, context: Context) -> dict[str, Any]:
    """Do what the stage's kind asks for, and return its metrics."""
    # Each module is imported for its stage only: most of them load torch, which takes seconds.
    match stage:
        case SearchStage():
            from rstar_fast.evolve.searching import search

            return search(stage, context)
        case DataStage():
            from rstar_fast.evolve.making_data import make_data

            return make_data(stage, context)
        case PolicyStage():
            from rstar_fast.evolve.training import train_policy_stage

            return train_policy_stage(stage, context)
        case RowsStage():
            from rstar_fast.evolve.scorer_rows import make_rows

            return make_rows(stage, context)
        case PPMStage():
            from rstar_fast.evolve.training import train_ppm_stage

            return train_ppm_stage(stage, context)
        case ResultsStage():
            from rstar_fast.evolve.results import results

            return results(stage, context)
        case _:
            raise TypeError(f"{stage.name}: expected a known kind of stage, got {stage!r}")


if __name__ == "__main__":
    sys.exit(main())
