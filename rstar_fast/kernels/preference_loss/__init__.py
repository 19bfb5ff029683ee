"""The loss of a PPM over groups of preferred and other steps."""

from rstar_fast.kernels.preference_loss.api import preference_loss
from rstar_fast.kernels.preference_loss.groups import PairGroups

__all__ = ["PairGroups", "preference_loss"]
