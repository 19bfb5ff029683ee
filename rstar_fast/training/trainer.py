"""What trainings by `transformers` have in common, whatever is trained."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer

from rstar_fast.errors import TrainError
from rstar_fast.training.config import TrainConfig


def common_arguments(
    config: TrainConfig, out: str | Path, report_to: Sequence[str]
) -> dict[str, Any]:
    """Options of `TrainingArguments`: nothing is saved or evaluated on the way, nothing is printed."""
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
    """Train to the end: optimizer steps, mean loss, seconds.

    Args:
        trainer: ready to train.
        start: the model it began from, for the error.
        learning_rate: likewise.

    Raises:
        TrainError: the loss is not a number.
    """
    trainer.remove_callback(PrinterCallback)
    began = time.monotonic()
    result = trainer.train()
    seconds = time.monotonic() - began
    if not result.training_loss == result.training_loss:
        raise TrainError(
            f"{start}: the loss is not a number: try a lower learning_rate than {learning_rate}"
        )
    return result.global_step, result.training_loss, seconds
