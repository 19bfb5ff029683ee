"""Options of a training."""

import pytest

from rstar_fast.errors import ConfigError
from rstar_fast.training import TrainConfig


def test_training_options_are_checked() -> None:
    assert TrainConfig.from_dict(TrainConfig.preset("paper-ppm").to_dict()) == TrainConfig.preset(
        "paper-ppm"
    )
    paper = TrainConfig.preset("paper-policy")
    assert (
        paper.epochs,
        paper.batch_size,
        paper.max_length,
        paper.learning_rate,
        paper.schedule,
    ) == (2, 128, 4096, 7e-6, "linear")
    for options, error in (
        ({"epochs": 0}, "epochs: expected an integer of at least 1, got 0"),
        ({"seed": -1}, "seed: expected an integer of at least 0, got -1"),
        ({"precision": "float16"}, "precision: expected one of float32, bfloat16, mixed, got"),
        ({"learning_rate": 0.0}, "learning_rate above 0"),
        ({"warmup": 1.0}, "warmup below 1"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number of at least 0, got"),
        ({"likelihood": -1.0}, "likelihood: expected a number of at least 0, got -1.0"),
        ({"gradient_checkpointing": "no"}, "gradient_checkpointing: expected true or false"),
        ({"lr": 1.0}, "unknown option 'lr'"),
    ):
        with pytest.raises(ConfigError, match=error):
            TrainConfig.from_dict(options)
    with pytest.raises(ConfigError, match="presets: paper-policy"):
        TrainConfig.preset("paper")
