"""The tree core: every node of every tree in one forest of flat arrays, and trees packed into sequences of tokens."""

import os
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

NO_NODE: Final = -1
"""No such node: a root's parent, an unexpanded node's first child, the end of an exhausted walk."""

BUSY: Final = -2
"""The end of a walk that met only nodes in flight: there will be something to select again."""

def simd_levels() -> list[str]:
    """Instruction sets that this machine has code for, the fastest first.

    Of "avx512", "avx2" and "scalar". Every one selects the same nodes, bit for bit; the first is used unless another is chosen.
    """

def simd_level() -> str:
    """The instruction set in use."""

def use_simd_level(level: str) -> None:
    """Chooses the instruction set for all forests.

    Raises:
        ForestError: this machine has no code for it.
    """

class Forest:
    """Trees of at most `nodes_per_tree` nodes each.

    Tree t owns the ids [t * nodes_per_tree, (t + 1) * nodes_per_tree): its root is the first of them, siblings are contiguous
    and come after their parent, so a tree grows the same ids whatever other trees there are. Memory is used as nodes are
    made, 22 bytes each; nothing moves. It is fastest with `nodes_per_tree` a multiple of 32, expansions of 32, and many trees
    a call, each named once.

    A node that a walk claimed is in flight, left out of every walk, until it is expanded, released or terminal; a node whose
    children that are not terminal are all in flight, or in this same state, is left out with them.

    Array arguments have one dimension, exactly the dtype shown, and are contiguous (else TypeError). They must not be written
    to during the call: calls release the GIL. Threads may share a forest; their calls go one after another. Arrays returned
    are the caller's own. Pickling takes what `save` writes.

    A call that cannot be done in full raises ForestError (CapacityError for lack of room) and changes nothing. All calls refuse
    ids that are out of range or not in use, such as those of a freed tree.
    """

    def __init__(
        self,
        max_trees: int,
        nodes_per_tree: int,
        *,
        memory_limit_bytes: int | None = None,
        keep_values: bool = False,
    ) -> None:
        """An empty forest.

        Args:
            max_trees: trees that can exist at a time, >= 1.
            nodes_per_tree: room of each, root included, >= 1; max_trees * nodes_per_tree < 2^31.
            memory_limit_bytes: what `memory_bytes` may become at most, >= 1; a call that would pass it raises CapacityError.
            keep_values: keep every value that nodes are given (16 bytes each), so that `verify` can add them up again.

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

    @property
    def keeps_values(self) -> bool:
        """Whether every value given is kept, for `verify`."""

    @property
    def memory_bytes(self) -> int:
        """Memory that the nodes take, to whole pages.

        A freed tree's memory is kept for the next tree in its slot; it is given back when `memory_limit_bytes` would be passed.
        """

    @property
    def memory_limit_bytes(self) -> int | None:
        """The most that `memory_bytes` may become, None for no limit."""

    @property
    def threads(self) -> int:
        """Most threads that one call uses.

        1 at first; assign 1..1024. They share out the trees of a call that names thousands of nodes. No result depends on it.
        """

    @threads.setter
    def threads(self, threads: int, /) -> None: ...
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

    def expand(
        self,
        nodes: NDArray[np.int32],
        counts: NDArray[np.int32],
        values: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int32]:
        """Gives each node its children, unexpanded; a claim on it ends.

        Args:
            nodes: node ids [n], without children, not terminal, none twice; of any trees.
            counts: children of each [n], in 1..8191.
            values: the first value of every child, as by `add`, finite [sum of counts], those of one node after another; left
                out, the children are unvisited.

        Returns:
            Node id of the first child of each, int32 [n]; the others follow it.

        Raises:
            CapacityError: a tree has no room for its new nodes.
        """

    def select(
        self, nodes: NDArray[np.int32], moves: NDArray[np.int32], c: float, *, claim: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Walks down from each node while it has children and moves are left.

        A step goes to the child of the highest UCT = Q + c * sqrt(ln N_parent / N) (rStar-Math, section 3.1), children that are
        terminal or in flight left out, the first of equals; Q = 0 if N = 0, and the second term is 0 if N = 0 or N_parent = 0.
        If every child is terminal the node becomes terminal itself, and the walk ends. If the others are all in flight, the walk
        begins again without this node. Entries of one tree are done in order.

        Args:
            nodes: where to start [n]; repeats are fine.
            moves: most steps down from each [n], >= 0.
            c: weight of exploration, >= 0.
            claim: put the nodes reached in flight, where they have no children and moves are left.

        Returns:
            Node reached, int32 [n], NO_NODE where the start was terminal or the walk came to a node that became so, BUSY where
            the start is in flight or everything below it is in flight or terminal; and the moves that were left, int32 [n].
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
        """Takes nodes out of selection for good; claims on them end.

        Args:
            nodes: node ids [n]; repeats, and nodes that are terminal already, are fine.
        """

    def release(self, nodes: NDArray[np.int32]) -> None:
        """Takes back the claims on nodes in flight.

        Args:
            nodes: node ids [n], each in flight.
        """

    def reroot(self, node: int) -> NDArray[np.int32]:
        """Makes a node the root of its tree; what is not below it is forgotten.

        The nodes that stay keep their order and what they were given, and take the ids from the front of the tree's range.

        Returns:
            New id of every node the tree had, in the order of their ids, int32 [num_nodes before]; NO_NODE where it is forgotten.

        Raises:
            ForestError: a node that would be forgotten is in flight.
        """

    def prune(self, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Forgets nodes of one tree and everything below them.

        What was backed up through them stays with their ancestors. A node that loses all of its children can be expanded again.

        Args:
            nodes: node ids [n] of one tree, n >= 1, not its root.

        Returns:
            New id of every node the tree had, in the order of their ids, int32 [num_nodes before]; NO_NODE where it is forgotten.

        Raises:
            ForestError: a node that would be forgotten is in flight.
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

    def in_flight(self, tree: int) -> NDArray[np.bool_]:
        """Whether each node is claimed, bool [num_nodes]."""

    def verify(self) -> None:
        """Checks everything the forest keeps.

        Links (children contiguous, behind their parent, each of one parent), ranges, claims, the count of trees; and with
        `keep_values` the visits and value sums of every node, bit for bit: all values are added up again from the beginning.

        Raises:
            InternalError: something is wrong; the message says what and where.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the forest to a file, which is replaced as a whole or not at all.

        Raises:
            ForestError: the file cannot be written.
        """

    @staticmethod
    def load(path: str | os.PathLike[str], *, memory_limit_bytes: int | None = None) -> Forest:
        """The forest that `save` wrote.

        Raises:
            CapacityError: it takes more than `memory_limit_bytes`.
            ForestError: the file cannot be read, is not a saved forest, or is damaged; the message names it and says why.
        """

NO_TOKEN: Final = -1
"""No such token: the score index of a node with no token on its path."""

class Pack:
    """Trees of token runs as one sequence in depth-first order.

    A token at packed index k is seen by the tokens at k <= q < end[k]: its own run from it on, and all below. Made by `pack`;
    nothing in it changes. Its arrays are read-only views that keep it alive.
    """

    @property
    def begin(self) -> NDArray[np.int32]:
        """Packed index of each node's first token, int32 [nodes].

        Of a node without tokens: where its first child begins.
        """

    @property
    def score_index(self) -> NDArray[np.int32]:
        """Packed index of the last token on each node's path, int32 [nodes].

        A node without tokens has its parent's; NO_TOKEN if there is none on its path.
        """

    @property
    def tokens(self) -> NDArray[np.int32]:
        """The packed tokens, int32 [tokens]."""

    @property
    def position(self) -> NDArray[np.int32]:
        """Tokens in front of each on its path, int32 [tokens]."""

    @property
    def end(self) -> NDArray[np.int32]:
        """End of the subtree that each token opens, int32 [tokens].

        It is the packed index behind the last token below, the token itself if there is none.
        """

class BlockLists:
    """Which blocks of columns each block of rows sees.

    Row i sees the columns blocks[offsets[i]:split[i]] in full and blocks[split[i]:offsets[i + 1]] in part, both ascending. Nothing
    in it changes. Its arrays are read-only views that keep it alive.
    """

    @property
    def offsets(self) -> NDArray[np.int32]:
        """Where each row's blocks begin, int32 [rows + 1]."""

    @property
    def split(self) -> NDArray[np.int32]:
        """Where each row's full blocks end and its partial ones begin, int32 [rows]."""

    @property
    def blocks(self) -> NDArray[np.int32]:
        """Columns, by row, int32 [visible]."""

    def transpose(self) -> BlockLists:
        """The same pairs by column."""

def pack(
    parents: NDArray[np.int32], num_tokens: NDArray[np.int32], tokens: NDArray[np.int32]
) -> Pack:
    """Packs trees of token runs in depth-first order.

    Roots and siblings keep the order given. Array arguments have one dimension, exactly the dtype shown, and are contiguous (else
    TypeError); calls release the GIL.

    Args:
        parents: each node's parent [nodes], a node before it, or -1 at a root.
        num_tokens: of each node's own run [nodes], >= 0.
        tokens: the nodes' runs one after the other [sum of num_tokens], fewer than 2^31.

    Raises:
        PackError: an array is malformed; the message says where.
    """

def visible_blocks(
    end: NDArray[np.int32],
    position: NDArray[np.int32],
    queries: NDArray[np.int32],
    block_queries: int,
    block_keys: int,
    window: int | None = None,
) -> BlockLists:
    """For each block of queries, the blocks of keys it sees.

    Query q sees key k iff k <= q < end[k] and, with a window, position[q] - position[k] < window. A block is full if every query of
    the row sees every key of it, and it is not cut off by the end of the sequence; a partial one may turn out to be empty.
    Memory is that of the lists returned, and so is time but for what the window cuts away.

    Args:
        end: of each packed token [tokens], as `Pack.end`.
        position: of each packed token [tokens], as `Pack.position`.
        queries: packed indices of the tokens that ask [queries], ascending.
        block_queries: consecutive queries to a row, >= 1.
        block_keys: consecutive tokens to a column, >= 1.
        window: positions a query can see, its own included, >= 1; None for all.

    Raises:
        PackError: an array is malformed; the message says where.
    """

def ids_to_bytes(runs: Sequence[Sequence[int]]) -> list[bytes]:
    """Token ids as int32, each run as one bytes object.

    Raises:
        OverflowError: an id is out of the range of int32.
        TypeError: one is not an integer.
    """

def logprobs_to_bytes(runs: Sequence[Sequence[float]]) -> list[bytes]:
    """Log-probabilities as float32, each run as one bytes object.

    Raises:
        TypeError: one is not a number.
    """

def untrack(objects: Sequence[object]) -> None:
    """Spares the garbage collector objects that can be part of no cycle.

    It looks at every object that it tracks again and again, and so takes a quarter of the time of a search that makes millions.
    """
