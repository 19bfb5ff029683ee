"""Attention over packed trees: every token sees the tokens on its path from the root, and nothing else."""

from rstar_fast.kernels.tree_attention.api import tree_attention
from rstar_fast.kernels.tree_attention.layout import TreeLayout

__all__ = ["TreeLayout", "tree_attention"]
