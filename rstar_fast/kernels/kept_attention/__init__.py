"""Attention of new tokens over keys and values that are kept in two places."""

from rstar_fast.kernels.kept_attention.api import kept_attention
from rstar_fast.kernels.kept_attention.table import KeptTable

__all__ = ["KeptTable", "kept_attention"]
