"""The stages that train models."""

import os
from dataclasses import asdict, replace
from typing import Any

from rstar_fast.data import read_rows
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import fresh_folder
from rstar_fast.evolve.stage import PolicyStage, PPMStage, Stage
from rstar_fast.training.train_policy import train_policy
from rstar_fast.training.train_ppm import train_ppm


def train_policy_stage(stage: PolicyStage, context: Context) -> dict[str, Any]:
    """Fine-tune the base model on a round's solutions, and return what the training counted.

    Raises:
        RStarError: See `train_policy`.
    """
    rows = read_rows(context.run / stage.data / "sft.jsonl")
    config = replace(context.config.policy, seed=context.config.seed)
    with fresh_folder(context.run / stage.name) as folder:
        return asdict(
            train_policy(context.config.base, rows, folder, config, _reporters(stage, context))
        )


def train_ppm_stage(stage: PPMStage, context: Context) -> dict[str, Any]:
    """Train a PPM, an ORM or a PQM from the round's policy, and return what the training counted.

    Raises:
        RStarError: See `train_ppm`.
    """
    name = "pairs.jsonl" if stage.objective == "ppm" else "trajectories.jsonl"
    rows = [row for data in stage.data for row in read_rows(context.run / data / name)]
    config = replace(context.config.ppm, seed=context.config.seed)
    with fresh_folder(context.run / stage.name) as folder:
        return asdict(
            train_ppm(
                context.run / stage.policy,
                rows,
                folder,
                config,
                stage.objective,
                _reporters(stage, context),
            )
        )


def _reporters(stage: Stage, context: Context) -> tuple[str, ...]:
    """Return the places for the losses, as transformers takes them.

    TensorBoard's files lie in the stage's folder. W&B writes until the process ends, when that
    folder has another name, so its files lie beside it.
    """
    report_to = context.config.report_to
    if report_to == "wandb":
        os.environ.setdefault("WANDB_DIR", str(context.run / "logs"))
        os.environ.setdefault("WANDB_NAME", f"{context.run.name}/{stage.name}")
    return () if report_to == "none" else (report_to,)
