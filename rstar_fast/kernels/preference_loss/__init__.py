"""The PPM's loss over groups of preferred and other steps."""

from rstar_fast.kernels.preference_loss.api import PairGroups, preference_loss

__all__ = ["PairGroups", "preference_loss"]
