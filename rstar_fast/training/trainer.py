"""Options and the run that all trainings by `transformers` share."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer

from rstar_fast.errors import TrainError
from rstar_fast.training.config import TrainConfig

IGNORED = -100
"""Label of a token that is not learnt, as torch's cross entropy has it."""


def common_arguments(
    config: TrainConfig, out: str | Path, report_to: Sequence[str]
) -> dict[str, Any]:
    """Return options of `TrainingArguments`.

    Nothing is saved or evaluated during the training, and nothing is printed.
    """
    return {
        "output_dir": str(out),
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup,
        "weight_decay": config.weight_decay,
        "gradient_checkpointing": config.gradient_checkpointing,
        "seed": config.seed,
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_steps": 25,
        "report_to": list(report_to) or "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
    }


def run_training(
    trainer: Trainer, start: str | Path, learning_rate: float
) -> tuple[int, float, float]:
    """Train to the end. Return the number of optimizer steps, the mean loss and the seconds.

    Args:
        trainer: Trainer that is ready to train.
        start: Name of the model that the training starts from, for the error's text.
        learning_rate: Learning rate, for the error's text.

    Raises:
        TrainError: The loss is not a number.
    """
    trainer.remove_callback(PrinterCallback)
    began = time.monotonic()
    result = trainer.train()
    seconds = time.monotonic() - began
    if math.isnan(result.training_loss):
        raise TrainError(
            f"{start}: the loss is not a number: try a lower learning_rate than {learning_rate}"
        )
    return result.global_step, result.training_loss, seconds
