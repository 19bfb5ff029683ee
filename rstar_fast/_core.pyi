"""The tree core: every node of every tree in one forest of flat arrays."""

import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

NO_NODE: Final = -1
"""No such node: a root's parent, an unexpanded node's first child, the end of an exhausted walk."""

class Forest:
    """Trees of at most `nodes_per_tree` nodes each.

    Tree t owns the ids [t * nodes_per_tree, (t + 1) * nodes_per_tree): its root is the first of them, siblings are contiguous
    and come after their parent, so a tree grows the same ids whatever other trees there are. Memory is used as nodes are
    made, 23 bytes each; nothing moves.

    Array arguments have one dimension, exactly the dtype shown, and are contiguous (else TypeError). They must not be written
    to during the call: calls release the GIL. Threads may share a forest; their calls go one after another. Arrays returned
    are the caller's own.

    A call that cannot be done in full raises ForestError (CapacityError for lack of room) and changes nothing. All calls refuse
    ids that are out of range or not in use, such as those of a freed tree.
    """

    def __init__(self, max_trees: int, nodes_per_tree: int) -> None:
        """An empty forest.

        Args:
            max_trees: trees that can exist at a time, >= 1.
            nodes_per_tree: room of each, root included, >= 1; max_trees * nodes_per_tree < 2^31.

        Raises:
            ForestError: a size is out of range.
            MemoryError: the machine cannot reserve the room.
        """

    @property
    def max_trees(self) -> int:
        """Trees that can exist at a time."""

    @property
    def nodes_per_tree(self) -> int:
        """Room of each tree, root included."""

    @property
    def num_trees(self) -> int:
        """Trees in use."""

    def new_trees(self, count: int) -> NDArray[np.int32]:
        """Plants trees of one unvisited root each, in the lowest free slots.

        Args:
            count: how many, >= 1.

        Returns:
            Tree ids, int32 [count], ascending.

        Raises:
            CapacityError: fewer than `count` slots are free.
        """

    def free_trees(self, trees: NDArray[np.int32]) -> None:
        """Forgets whole trees; their ids go out of use until their slots are planted again.

        Args:
            trees: tree ids [n], none twice.
        """

    def root(self, tree: int) -> int:
        """Node id of a tree's root: tree * nodes_per_tree."""

    def num_nodes(self, tree: int) -> int:
        """Nodes in a tree, root included."""

    def expand(self, nodes: NDArray[np.int32], counts: NDArray[np.int32]) -> NDArray[np.int32]:
        """Gives each node its children, unvisited and unexpanded.

        Args:
            nodes: node ids [n], without children, not terminal, none twice; of any trees.
            counts: children of each [n], in 1..65535.

        Returns:
            Node id of the first child of each, int32 [n]; the others follow it.

        Raises:
            CapacityError: a tree has no room for its new nodes.
        """

    def select(self, nodes: NDArray[np.int32], moves: NDArray[np.int32], c: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Walks down from each node while it has children and moves are left.

        A step goes to the child of the highest UCT = Q + c * sqrt(ln N_parent / N) (rStar-Math, section 3.1), terminal children
        left out, the first of equals; Q = 0 if N = 0, and the second term is 0 if N = 0 or N_parent = 0. If every child is
        terminal the node becomes terminal itself, which is the only change a call makes. Entries are done in order.

        Args:
            nodes: where to start [n]; repeats are fine.
            moves: most steps down from each [n], >= 0.
            c: weight of exploration, >= 0.

        Returns:
            Node reached, int32 [n], NO_NODE where the start was terminal or the walk came to a node that became so; and the
            moves that were left, int32 [n].
        """

    def backup(self, nodes: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        """Adds a value and a visit to each node and to all its ancestors, in the order given.

        Args:
            nodes: node ids [n]; repeats are fine.
            values: one for each node [n], finite.
        """

    def add(self, nodes: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        """Adds a value and a visit to each node only, in the order given.

        Args:
            nodes: node ids [n]; repeats are fine.
            values: one for each node [n], finite.
        """

    def set_terminal(self, nodes: NDArray[np.int32]) -> None:
        """Takes nodes out of selection for good.

        Args:
            nodes: node ids [n]; repeats, and nodes that are terminal already, are fine.
        """

    def visits(self, tree: int) -> NDArray[np.int32]:
        """Values added to each node of a tree, int32 [num_nodes], in id order as all of these."""

    def value_sums(self, tree: int) -> NDArray[np.float64]:
        """Sum of the values added to each node, float64 [num_nodes]."""

    def q(self, tree: int) -> NDArray[np.float64]:
        """Mean of the values added to each node, 0 where there are none, float64 [num_nodes]."""

    def parents(self, tree: int) -> NDArray[np.int32]:
        """Node id of each node's parent, NO_NODE at the root, int32 [num_nodes]."""

    def first_children(self, tree: int) -> NDArray[np.int32]:
        """Node id of each node's first child, NO_NODE where it has none, int32 [num_nodes]."""

    def num_children(self, tree: int) -> NDArray[np.int32]:
        """Children of each node, int32 [num_nodes]."""

    def terminal(self, tree: int) -> NDArray[np.bool_]:
        """Whether each node is out of selection, bool [num_nodes]."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the forest to a file, which is replaced as a whole or not at all.

        Raises:
            ForestError: the file cannot be written.
        """

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Forest:
        """The forest that `save` wrote.

        Raises:
            ForestError: the file cannot be read, is not a saved forest, or is damaged; the message names it and says why.
        """
