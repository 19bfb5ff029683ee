"""Sizes of the kernels of kept attention. They are equal for all targets."""

TILE_BYTES = {2: 16384, 4: 8192}
"""Size of a tile of keys, bytes, by the size of an element."""
MAX_ROW_BYTES = 512
"""Largest size of a key. With larger ones the kernels spill registers."""
NUM_WARPS = 4
"""Number of warps of a program."""
NUM_STAGES = 2
"""Number of stages in the pipeline of loads."""
