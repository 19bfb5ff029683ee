"""Typed, validated configuration of a training, and its named presets."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from rstar_fast.checks import check_boolean, check_choice, check_integer, check_number
from rstar_fast.errors import ConfigError
from rstar_fast.options import Options

Precision = Literal["float32", "bfloat16", "mixed"]
Schedule = Literal["linear", "cosine", "constant"]
FITTED = "fitted"
"""Value of `TrainConfig.likelihood` that has the weights fitted."""


TRAIN_PRESETS: dict[str, dict[str, Any]] = {
    "paper-policy": {
        "epochs": 2,
        "batch_size": 128,
        "max_length": 4096,
        "learning_rate": 7e-6,
        "gradient_checkpointing": True,
    },
    "paper-ppm": {
        "epochs": 1,
        "batch_size": 512,
        "max_length": 2048,
        "learning_rate": 7e-6,
        "precision": "bfloat16",
        "gradient_checkpointing": True,
    },
    "cpu-policy": {
        "epochs": 6,
        "batch_size": 16,
        "micro_batch_tokens": 4096,
        "max_length": 1024,
        "learning_rate": 1e-3,
        "warmup": 0.05,
        "precision": "float32",
    },
    "cpu-ppm": {
        "epochs": 3,
        "batch_size": 64,
        "micro_batch_tokens": 4096,
        "max_length": 1024,
        "learning_rate": 5e-4,
        "warmup": 0.05,
        "precision": "float32",
    },
}
"""Presets by name. The `paper-*` presets follow rStar-Math, section 4.1 and its appendix.

The `cpu-*` presets are for models of a few million parameters on one core.
"""


@dataclass(frozen=True, slots=True)
class TrainConfig(Options):
    """How a policy or a PPM is trained.

    Attributes:
        epochs: Number of passes over the data, >= 1.
        batch_size: Number of rows (policy), pairs (PPM), trajectories (ORM) or steps (PQM) per
            optimizer step, over all devices, >= 1.
        micro_batch_tokens: Most tokens in one forward pass on one device, >= 1. One row or one
            tree is always taken.
        max_length: Most tokens of a text, >= 1. Longer texts are left out.
        learning_rate: Highest learning rate, > 0.
        schedule: Name of the learning rate's course: "linear" or "cosine" down to 0, or "constant".
        warmup: Share of the steps in which the learning rate rises, in [0, 1).
        weight_decay: Weight decay of AdamW, >= 0.
        precision: Name of the number format. "float32"; "bfloat16" (bfloat16 weights and
            arithmetic, and float32 copies of the weights in the optimizer; one device only);
            "mixed" (float32 weights, bfloat16 arithmetic; policies only).
        gradient_checkpointing: Whether activations are computed again in the backward pass. It
            takes less memory and about a quarter more time.
        lora_rank: Rank of the LoRA adapters, >= 0. Adapters are merged after training, and the
            embeddings of new marks train too. 0 trains all weights. Policies only.
        likelihood: Weight of a path's log-probability under the policy, which is added to the value
            of a PPM, >= 0. It is added while the head learns too. The head thus learns what the
            policy does not know. 0 is the paper's. "fitted" trains the head with 1, and then fits
            the weights of both on pairs that it was not trained on. PPMs only.
        observations: Whether a PPM reads what steps inside an open code block showed. PPMs only.
        seed: Seed of the order of the data and of new weights, >= 0.

    Raises:
        ConfigError: An option is out of range.
    """

    presets: ClassVar = TRAIN_PRESETS

    epochs: int = 1
    batch_size: int = 128
    micro_batch_tokens: int = 16384
    max_length: int = 4096
    learning_rate: float = 7e-6
    schedule: Schedule = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    precision: Precision = "mixed"
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    likelihood: float | Literal["fitted"] = 0.0
    observations: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batch_tokens", "max_length"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("lora_rank", "seed"):
            check_integer(name, getattr(self, name), low=0)
        for name in ("learning_rate", "warmup", "weight_decay"):
            check_number(name, getattr(self, name), low=0)
        if self.likelihood != FITTED:
            if isinstance(self.likelihood, str):
                raise ConfigError(
                    f'likelihood: expected a number or "{FITTED}", got {self.likelihood!r}'
                )
            check_number("likelihood", self.likelihood, low=0)
        check_boolean("observations", self.observations)
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("precision", self.precision, get_args(Precision))
        check_boolean("gradient_checkpointing", self.gradient_checkpointing)
        if not self.learning_rate or self.warmup >= 1:
            raise ConfigError(
                "expected a learning_rate above 0 and a warmup below 1, "
                f"got learning_rate {self.learning_rate} and warmup {self.warmup}"
            )

    @property
    def learnt_likelihood(self) -> float:
        """Weight of a path's log-probability while the head learns."""
        return 1.0 if isinstance(self.likelihood, str) else self.likelihood


def num_devices() -> int:
    """Return the number of processes that train together.

    `accelerate launch` and `torchrun` tell each process by the variable WORLD_SIZE.
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Return whether this is the process, among those that train together, that prints.

    `accelerate launch` and `torchrun` tell each process by the variable RANK.
    """
    return os.environ.get("RANK", "0") == "0"
