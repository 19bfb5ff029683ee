"""Attention over packed trees. A token sees the tokens on its path from the root and no others."""

from rstar_fast.kernels.tree_attention.api import tree_attention
from rstar_fast.kernels.tree_attention.layout import TreeLayout

__all__ = ["TreeLayout", "tree_attention"]
