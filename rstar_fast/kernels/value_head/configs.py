"""Sizes of the value head's kernels. They are equal for all targets: each row is read only once."""

BLOCK_WIDTH = 1024
"""Number of columns that a program of `forward` and `backward_rows` reads at a time."""
BLOCK_COLUMNS = 64
"""Number of columns in a tile of `backward_weights`."""
BLOCK_SCORES = 64
"""Number of scores in a tile of `backward_weights`."""
NUM_WARPS = 4
"""Number of warps of a program."""
