"""The stages that train models."""

import os
from dataclasses import asdict, replace
from typing import Any

from rstar_fast.data import read_rows
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.stage import fresh_folder


def train_a_policy(context: Context) -> dict[str, Any]:
    """Fine-tune the base model on a round's solutions.

    Raises:
        RStarError: see `evolve.train_policy`.
    """
    from rstar_fast.training.train_policy import train_policy

    rows = read_rows(context.run / context.stage.options["data"] / "sft.jsonl")
    config = replace(context.config.policy, seed=context.config.seed)
    with fresh_folder(context.folder) as folder:
        return asdict(train_policy(context.config.base, rows, folder, config, _reporters(context)))


def train_a_ppm(context: Context) -> dict[str, Any]:
    """Train a PPM, an ORM or a PQM from the round's policy.

    Raises:
        RStarError: see `evolve.train_ppm`.
    """
    from rstar_fast.training.train_ppm import train_ppm

    options = context.stage.options
    name = "pairs.jsonl" if options["objective"] == "ppm" else "trajectories.jsonl"
    rows = [row for data in options["data"] for row in read_rows(context.run / data / name)]
    config = replace(context.config.ppm, seed=context.config.seed)
    with fresh_folder(context.folder) as folder:
        return asdict(
            train_ppm(
                context.run / options["policy"],
                rows,
                folder,
                config,
                options["objective"],
                _reporters(context),
            )
        )


def _reporters(context: Context) -> tuple[str, ...]:
    """Where the losses go. TensorBoard's files lie in the stage's folder; W&B writes to the end of the process, so beside it."""
    report_to = context.config.report_to
    if report_to == "wandb":
        os.environ.setdefault("WANDB_DIR", str(context.run / "logs"))
        os.environ.setdefault("WANDB_NAME", f"{context.run.name}/{context.stage.name}")
    return () if report_to == "none" else (report_to,)
