"""Trees of tokens like those of a search, as one packed sequence."""

import numpy as np

from rstar_fast._core import pack
from rstar_fast.kernels.tree_attention import TreeLayout

QUESTION, STEP, DEPTH, SIBLINGS = 150, 60, 16, 8
"""Number of tokens in a question and in a step, of levels in a tree, and of steps in a level."""


def search_trees(tokens: int, device: str) -> TreeLayout:
    """Return the layout of trees in which one step of each level has the next level below it.

    Args:
        tokens: Number of tokens of all trees together. The last tree is cut off there.
        device: Device of the layout.
    """
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
