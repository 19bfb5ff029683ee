"""How the value head's kernels are cut up: the same everywhere, since they only read rows once."""

BLOCK_WIDTH = 1024
"""Columns a program reads at a time."""
BLOCK_COLUMNS = 64
BLOCK_SCORES = 64
"""The tile in which the gradient of the weights is summed over the scores."""
NUM_WARPS = 4
