"""Sizes of the preference loss's kernel. They are equal for all targets.

Groups are small (2 against 2 in the paper), so one tile mostly holds all pairs of a group.
"""

BLOCK = 16
"""Number of preferred scores, and of other scores, in a tile."""
NUM_WARPS = 1
"""Number of warps of a program."""
