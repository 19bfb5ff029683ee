"""Small forests and what the tests of the forest ask of them."""

import numpy as np
from numpy.typing import NDArray

from rstar_fast._core import Forest
from rstar_fast.errors import ForestError


def ids(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def floats(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


def state(forest: Forest) -> list[object]:
    """Return everything that can be seen of a forest."""
    seen: list[object] = [forest.max_trees, forest.nodes_per_tree, forest.num_trees]
    for tree in range(forest.max_trees):
        try:
            seen.append((tree, forest.root(tree), forest.num_nodes(tree)))
        except ForestError:
            continue
        for statistic in (
            "visits",
            "value_sums",
            "q",
            "parents",
            "first_children",
            "num_children",
            "terminal",
            "in_flight",
        ):
            seen.append(getattr(forest, statistic)(tree).tolist())
    return seen


def small_forest() -> Forest:
    """Return a forest with room for 4 trees of 10 nodes.

    Tree 0 is 0 -> 1 2 3, 1 -> 4 5. Tree 1 is a root, tree 2 was freed, tree 3 was never used.
    """
    forest = Forest(4, 10)
    forest.new_trees(3)
    forest.expand(ids(0, 20), ids(3, 2))
    forest.expand(ids(1), ids(2))
    forest.backup(ids(4, 2), floats(1.0, -0.5))
    forest.free_trees(ids(2))
    return forest


def grown(
    trees: int = 8, sims: int = 60, children: int = 13, *, threads: int = 1, **options: bool
) -> Forest:
    """Return a forest after some simulations. Equal arguments give equal forests."""
    forest = Forest(trees, 1 + sims * children, **options)
    forest.threads = threads
    random = np.random.default_rng(0)
    roots = forest.new_trees(trees) * np.int32(forest.nodes_per_tree)
    for _ in range(sims):
        leaves, _ = forest.select(roots, np.full(trees, 99, np.int32), 1.0)
        forest.expand(
            leaves, np.full(trees, children, np.int32), random.uniform(-1, 1, trees * children)
        )
        forest.backup(leaves, random.uniform(-1, 1, trees))
    return forest


def checksum(content: bytes) -> bytes:
    """Return the 64-bit FNV-1a hash as 8 bytes."""
    value = 0xCBF29CE484222325
    for byte in content:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value.to_bytes(8, "little")
