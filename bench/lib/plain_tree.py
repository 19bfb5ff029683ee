"""The search tree in plain Python, one object per node. bench/tree.py compares the core with it."""

import math
from collections.abc import Sequence


class PlainNode:
    """A node of a search tree.

    Attributes:
        parent: Parent of the node. None for the root.
        children: Children of the node. Empty until it is expanded.
        visits: Number of values that were added to it.
        value_sum: Sum of these values.
    """

    __slots__ = ("children", "parent", "value_sum", "visits")

    def __init__(self, parent: "PlainNode | None" = None, value: float | None = None) -> None:
        self.parent = parent
        self.children: list[PlainNode] = []
        self.visits = 0 if value is None else 1
        self.value_sum = value or 0.0


def simulate(root: PlainNode, c: float, scores: Sequence[float], value: float) -> PlainNode:
    """Do one simulation: select a leaf, give it a child for every score, and back up a value.

    Args:
        root: Root of the tree, which changes.
        c: Weight of exploration in UCT.
        scores: First value of each child.
        value: Value to back up.

    Returns:
        The leaf that was expanded.
    """
    node = root
    while node.children:
        log_visits = math.log(node.visits) if node.visits else 0.0
        best, best_score = node.children[0], -math.inf
        for child in node.children:
            visits = child.visits
            score = child.value_sum / visits + c * math.sqrt(log_visits / visits) if visits else 0.0
            if score > best_score:
                best, best_score = child, score
        node = best
    leaf = node
    leaf.children = [PlainNode(leaf, score) for score in scores]
    above: PlainNode | None = leaf
    while above is not None:
        above.visits += 1
        above.value_sum += value
        above = above.parent
    return leaf
