"""How models are trained: typed, validated, with named presets."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args

from rstar_fast.errors import ConfigError

Precision = Literal["float32", "bfloat16", "mixed"]
Schedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How a policy or a PPM is trained.

    Attributes:
        epochs: passes over the data, >= 1.
        batch_size: rows (policy), pairs (PPM) or trajectories (the PPM's baselines) to an optimizer step over all devices, >= 1.
        micro_batch_tokens: of a forward on one device, at most, >= 1; one row or tree is always taken.
        max_length: tokens of a text; longer ones are left out, >= 1.
        learning_rate: its highest, > 0.
        schedule: "linear" or "cosine" down to 0, or "constant".
        warmup: share of the steps in which the learning rate rises, in [0, 1).
        weight_decay: of AdamW, >= 0.
        precision: "float32"; "bfloat16" (weights and arithmetic, under float32 weights in the optimizer; one device); "mixed"
            (float32 weights, arithmetic in bfloat16; the policy only).
        gradient_checkpointing: less memory for a quarter more time.
        lora_rank: of the adapters that are trained in place of the weights, and merged at the end, beside the rows of new marks;
            0 trains all weights. The policy only.
        likelihood: weight of the policy's log-probability of a path beside the head of a PPM, >= 0; 0 is the paper's. PPMs only.
        seed: of the order of the data and of new weights, >= 0.
    """

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
    likelihood: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in _LOWEST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(f"{name}: expected an integer of at least {low}, got {value!r}")
        for name, choices in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        for name in ("learning_rate", "warmup", "weight_decay", "likelihood"):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not isfinite(value)
                or value < 0
            ):
                raise ConfigError(f"{name}: expected a number of at least 0, got {value!r}")
        if not self.learning_rate or self.warmup >= 1:
            raise ConfigError(
                f"expected a learning_rate above 0 and a warmup below 1, got learning_rate {self.learning_rate} and "
                f"warmup {self.warmup}"
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "TrainConfig":
        """The preset `name`, with changes. Unknown names and options raise `ConfigError`."""
        if name not in TRAIN_PRESETS:
            raise ConfigError(f"unknown preset {name!r}; presets: {', '.join(TRAIN_PRESETS)}")
        return cls.from_dict({**TRAIN_PRESETS[name], **changes})

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> "TrainConfig":
        """A config from plain values. Unknown options raise `ConfigError`."""
        known = [field.name for field in fields(cls)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise ConfigError(f"unknown option {unknown[0]!r}; options: {', '.join(known)}")
        return cls(**options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` takes them."""
        return asdict(self)


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
        "precision": "bfloat16",
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
"""`paper-*`: rStar-Math, section 4.1 and appendix; `cpu-*`: for models of a few million parameters on one core."""

_LOWEST = {
    "epochs": 1,
    "batch_size": 1,
    "micro_batch_tokens": 1,
    "max_length": 1,
    "lora_rank": 0,
    "seed": 0,
}


def num_devices() -> int:
    """How many processes train together, as `accelerate launch` and `torchrun` tell each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))
