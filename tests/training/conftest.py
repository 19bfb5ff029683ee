"""Tiny models that trainings start from."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose tokenizer has no marks."""
    from tiny_models import byte_tokenizer, tiny_model

    folder = tmp_path_factory.mktemp("base")
    tokenizer = byte_tokenizer()
    tiny_model("llama", tokenizer, spread=0.05).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def policy(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that was trained from the base for a moment."""
    from training_cases import QUICK, SOLUTION, row

    from rstar_fast.training import TrainConfig
    from rstar_fast.training.train_policy import train_policy

    folder = tmp_path_factory.mktemp("policy")
    train_policy(base, [row(SOLUTION)], folder, TrainConfig(**QUICK))
    return folder
