"""Training of policies and PPMs on the rows that `rstar_fast.data` makes.

Importing this package does not import torch. `train_model` imports it when it is called.
"""

from rstar_fast.training.config import TRAIN_PRESETS, TrainConfig
from rstar_fast.training.train import KINDS, train_model

__all__ = ["KINDS", "TRAIN_PRESETS", "TrainConfig", "train_model"]
