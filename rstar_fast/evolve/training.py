"""The stages that train models."""

import os
from dataclasses import asdict, replace
from typing import Any

from rstar_fast.data import read_rows
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import fresh_folder
from rstar_fast.evolve.scorer_rows import FIT_PAIRS, PAIRS, TRAJECTORIES
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
    """Train a PPM, an ORM or a PQM, and return what the training counted.

    The model starts from the round's policy or from the base, and its head from the base's check
    head where there is one.

    Raises:
        RStarError: See `train_ppm`.
    """
    name = PAIRS if stage.objective == "ppm" else TRAJECTORIES
    folder_of_rows = context.run / stage.rows
    fit = folder_of_rows / FIT_PAIRS
    config = replace(context.config.ppm, seed=context.config.seed)
    if stage.plain:
        config = replace(config, likelihood=0.0)
    from_base = context.config.scorers_from == "base"
    with fresh_folder(context.run / stage.name) as folder:
        return asdict(
            train_ppm(
                context.config.base if from_base else context.run / stage.policy,
                read_rows(folder_of_rows / name),
                folder,
                config,
                stage.objective,
                _reporters(stage, context),
                fit_rows=read_rows(fit) if fit.exists() else None,
                check_head_of=context.config.base,
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
