"""Small cases for trainings: options, rows and weights."""

from pathlib import Path
from typing import Any

import torch
from data_trees import GOLDEN
from transformers import AutoModelForCausalLM

from rstar_fast.data import pair_group_row, pair_groups
from rstar_fast.prompts import finetuned_prompt

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 2, "precision": "float32", "max_length": 256}
"""Options of a training that takes a moment."""
SOLUTION = "<code>\nprint(5)\n<end_of_code>"


def row(completion: str, question: str = "How many?") -> dict[str, str]:
    """Return a row for fine-tuning a policy."""
    return {"prompt": finetuned_prompt(question), "completion": completion}


def pair_rows() -> list[dict[str, Any]]:
    """Return the pairs of the golden tree as rows."""
    return [pair_group_row(group) for group in pair_groups(GOLDEN)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a model's folder in float32."""
    state: dict[str, torch.Tensor] = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    ).state_dict()
    return state
