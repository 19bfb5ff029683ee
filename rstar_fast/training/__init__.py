"""Training of policies and of PPMs on the rows that `rstar_fast.data` makes.

The modules that need torch are not imported here: `train_policy`, `train_ppm` and `pair_accuracy`.
"""

from rstar_fast.training.config import TrainConfig

__all__ = ["TrainConfig"]
