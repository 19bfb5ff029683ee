"""The process that does one stage: `python -m rstar_fast.evolve.process RUN STAGE [--device D] [--workers N] [--parent PID]`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from rstar_fast.errors import ConfigError, RStarError
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.plan import plan
from rstar_fast.evolve.stage import read_manifest, write_manifest
from rstar_fast.store.config_file import read_config
from rstar_fast.verify.pool.worker import die_with

_KINDS = {
    "search": ("searching", "search"),
    "data": ("making_data", "make_data"),
    "policy": ("training", "train_a_policy"),
    "ppm": ("training", "train_a_ppm"),
    "results": ("results", "results"),
}
"""What does a kind of stage; loaded only for that, as some of it takes seconds to import."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do a stage; 0 if it is finished, else 1 with the reason on the last line of standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("stage")
    parser.add_argument("--device")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--parent", type=int)
    args = parser.parse_args(arguments)
    if args.parent:
        die_with(args.parent)
    try:
        do(args.run, args.stage, args.device, args.workers)
    except RStarError as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


def do(run: Path, name: str, device: str | None = None, workers: int | None = None) -> None:
    """Do a stage that is not finished, and write its manifest.

    Raises:
        RStarError: it cannot be done; what it finished so far stays.
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
    module, function = _KINDS[stage.kind]
    metrics = getattr(import_module(f"rstar_fast.evolve.{module}"), function)(
        Context(run, config, stage, device, workers)
    )
    write_manifest(run / name, stage, metrics, time.monotonic() - began, run)


if __name__ == "__main__":
    sys.exit(main())
