"""How the preference loss is cut up: groups are small (2 against 2 in the paper), so one tile mostly takes all."""

BLOCK = 16
"""Preferred or other scores to a side of a tile."""
NUM_WARPS = 1
