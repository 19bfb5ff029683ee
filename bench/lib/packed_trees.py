"""Trees like those of a search, as one packed sequence."""

import numpy as np

from rstar_fast._core import pack
from rstar_fast.kernels.tree_attention import TreeLayout

QUESTION, STEP, DEPTH, SIBLINGS = 150, 60, 16, 8
"""Tokens of a question and of a step; levels of a tree, and steps of a level."""


def search_trees(tokens: int, device: str) -> TreeLayout:
    """The layout of a search's trees, cut off at a number of tokens."""
    parents: list[int] = []
    counts: list[int] = []
    while sum(counts) < tokens:
        parent = len(parents)
        parents.append(-1)
        counts.append(QUESTION)
        for level in range(DEPTH):
            first = len(parents)
            parents += [parent] * SIBLINGS
            counts += [STEP] * SIBLINGS
            parent = first + level % SIBLINGS
    while sum(counts) > tokens:
        counts[-1] -= min(counts[-1], sum(counts) - tokens)
        if not counts[-1]:
            parents.pop()
            counts.pop()
    packed = pack(
        np.array(parents, np.int32), np.array(counts, np.int32), np.zeros(tokens, np.int32)
    )
    return TreeLayout.of(packed, device)
