"""The final norm, scalar projection and squash of a PPM, at the score positions only."""

from rstar_fast.kernels.value_head.api import value_head

__all__ = ["value_head"]
