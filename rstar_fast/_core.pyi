"""The core: search trees in flat arrays, trees of tokens in one sequence, attention on the CPU."""

# The build copies these docstrings into the compiled module: see csrc/bindings/docstrings.py.

import os
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

NO_NODE: Final = -1
"""Stands for no node: a root's parent, a first child that is missing, the end of a walk that found
only terminal nodes, the new id of a forgotten node."""

BUSY: Final = -2
"""The end of a walk that met nodes in flight and nothing else to select. A later walk finds
something again."""

def simd_levels() -> list[str]:
    """Return the instruction sets that this machine can run the selection with, fastest first.

    The names are "avx512" and "avx2" (x86-64), "neon" (aarch64) and "scalar". All of them select
    the same nodes, bit for bit. The first one is used unless `use_simd_level` chooses another.
    """

def simd_level() -> str:
    """Return the name of the instruction set in use."""

def use_simd_level(level: str) -> None:
    """Choose the instruction set that all forests of this process use from now on.

    Args:
        level: Name out of `simd_levels()`.

    Raises:
        ForestError: The name is not among `simd_levels()`.
    """

class Forest:
    """Search trees in flat arrays, with selection by UCT and backup for many trees in one call.

    >>> import numpy as np
    >>> from rstar_fast import Forest
    >>> forest = Forest(max_trees=2, nodes_per_tree=64)
    >>> roots = np.array([forest.root(tree) for tree in forest.new_trees(2)], np.int32)
    >>> moves = np.array([8, 8], np.int32)
    >>> leaves, moves_left = forest.select(roots, moves, c=2.0, claim=True)
    >>> scores = np.array([0.1, 0.5, -0.2, 0.3, 0.0, 0.9])
    >>> first_children = forest.expand(leaves, np.array([3, 3], np.int32), scores)
    >>> forest.backup(leaves, np.array([0.5, 1.0]))
    >>> leaves, moves_left = forest.select(roots, moves, c=2.0)
    >>> (leaves - roots).tolist(), moves_left.tolist()
    ([2, 3], [7, 7])
    >>> forest.q(0).tolist()
    [0.5, 0.1, 0.5, -0.2]

    Ids: Every node has an int32 id. Tree t owns the ids from t * nodes_per_tree on, nodes_per_tree
    of them, and takes them from the front as its nodes are made. Its root has the first id.
    Children come after their parent, and the children that one `expand` makes have consecutive ids.
    So a tree has the same ids whatever other trees there are. An id is valid from the call that
    makes its node until `free_trees`, `reroot` or `prune` forgets the node; `reroot` and `prune`
    also give new ids to the nodes that stay. Two ids stand for no node: NO_NODE is -1 and BUSY is
    -2.

    States of a node:
        Unexpanded: It has no children. A walk that still has moves ends here.
        Expanded: `expand` gave it children, all at once, or `append` one after another.
        Claimed, or in flight: Two names for one state. A walk with claim=True ended at this node,
            which is unexpanded or wants one more child. No other walk comes to it, so several walks
            of one tree find different nodes. Any of these ends the claim: the node gets children, a
            child of it is drawn again, or the node is set terminal or released.
        Released: `release` ended the claim, and walks can come to the node again.
        Terminal: It is out of selection for good. `set_terminal` says so, or a walk found that the
            node is exhausted.
        Exhausted: All its children are terminal. The first walk that comes to such a node marks it
            terminal.
        Blocked: Some of its children are not terminal, and every one of these is in flight or
            blocked. Walks pass over it until one of the claims below it ends.

    A node's visits are the number of values that were added to it, and Q is their mean, 0 if there
    are none. Neither claims nor walks change them.

    Arrays: Every array argument has one dimension, exactly the dtype shown, and is contiguous; it
    is never converted. Calls read it without the GIL, so no other thread may write to it meanwhile.
    Every returned array is a copy that belongs to the caller: no later call changes it, and writing
    to it does not change the forest.

    Batches: A call that names many trees is much cheaper than a call for each of them. It does the
    entries of one tree in the order given. Speed is best with `nodes_per_tree` a multiple of 32 and
    expansions of 32 children.

    Errors: Every method raises `TypeError` for an array of another dtype or that is not contiguous,
    and for an argument of another type. It raises `ForestError` for an array of another number of
    dimensions and for a node or tree id that is out of range or not in use. `CapacityError`, which
    is a `ForestError`, says that there is no room for new nodes. A method that raises has changed
    nothing.

    Threads: Threads may share a forest. Its calls then run one after another. A call can also use
    threads of its own, see `threads`.

    Memory is used as nodes are made, 22 bytes each, and nodes never move. A tree on which `append`
    or `redraw` was called takes 8 bytes a node more. Pickling and copying a
    forest use the form that `save` writes, and leave its limit of memory and its threads behind.

    Args:
        max_trees: Number of trees that can exist at a time, >= 1.
        nodes_per_tree: Largest number of nodes in each tree, its root included, >= 1. The product
            of the two is below 2^31.
        memory_limit_bytes: Limit of `memory_bytes`, >= 1. A call that would pass it raises
            `CapacityError`. None for no limit.
        keep_values: Whether to keep every value that is added to a node, 16 bytes each, so that
            `verify` can add them up again.

    Raises:
        ForestError: A size is out of range.
        MemoryError: The machine cannot reserve the address space.
    """

    def __init__(
        self,
        max_trees: int,
        nodes_per_tree: int,
        *,
        memory_limit_bytes: int | None = None,
        keep_values: bool = False,
    ) -> None: ...
    @property
    def max_trees(self) -> int:
        """Number of trees that can exist at a time."""

    @property
    def nodes_per_tree(self) -> int:
        """Largest number of nodes in each tree, its root included."""

    @property
    def num_trees(self) -> int:
        """Number of trees in use."""

    @property
    def keeps_values(self) -> bool:
        """Whether every value that is added to a node is kept, for `verify`."""

    @property
    def memory_bytes(self) -> int:
        """Memory that the nodes take, in bytes and whole pages.

        The memory of a freed tree is kept for the next tree in its slot. It is given back to the
        machine when `memory_limit_bytes` would be passed.
        """

    @property
    def memory_limit_bytes(self) -> int | None:
        """Limit of `memory_bytes`. None for no limit."""

    @property
    def threads(self) -> int:
        """Number of threads that one call may use, 1 to 1024. It is 1 at first and can be assigned.

        Only a call of thousands of entries uses more than one, and at most one for every 1024
        entries. No result depends on the number. No thread outlives its call, so the process may
        fork.

        Raises:
            ForestError: The number assigned is out of range.
        """

    @threads.setter
    def threads(self, threads: int, /) -> None: ...
    def new_trees(self, count: int) -> NDArray[np.int32]:
        """Make trees that consist of one unvisited root each, in the lowest free slots.

        Args:
            count: Number of trees, >= 1.

        Returns:
            Tree ids, int32 [count], ascending.

        Raises:
            ForestError: The count is below 1.
            CapacityError: Fewer than `count` slots are free, or the limit of memory would be
                passed.
        """

    def free_trees(self, trees: NDArray[np.int32]) -> None:
        """Forget whole trees, so that their slots can be used again.

        Their tree ids and node ids are not in use until `new_trees` takes the slots. Claims on
        their nodes are forgotten too.

        Args:
            trees: Tree ids, int32 [n], none of them twice.

        Raises:
            ForestError: A tree is not in use or is named twice.
        """

    def root(self, tree: int) -> int:
        """Return the node id of a tree's root, which is tree * nodes_per_tree.

        Raises:
            ForestError: The tree is not in use.
        """

    def num_nodes(self, tree: int) -> int:
        """Return the number of nodes in a tree, its root included.

        Raises:
            ForestError: The tree is not in use.
        """

    def expand(
        self,
        nodes: NDArray[np.int32],
        counts: NDArray[np.int32],
        values: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int32]:
        """Give each node its children. A claim on the node ends.

        The children of one node get consecutive ids, the lowest that its tree has not used.

        Args:
            nodes: Node ids, int32 [n], of any trees. Each is unexpanded and not terminal, and none
                is named twice. A claim is not needed.
            counts: Number of children of each node, int32 [n], in 1..8191.
            values: First value of every child, float64 [sum of counts], finite: the children of the
                first node, then those of the second, and so on. They count as if `add` had added
                them. None leaves the children unvisited.

        Returns:
            Node id of the first child of each node, int32 [n].

        Raises:
            ForestError: A node has children already, is terminal, or is named twice, a count is out
                of range, a value is not finite, or the arrays do not fit each other.
            CapacityError: A tree has no room for its new nodes, or the limit of memory would be
                passed.
        """

    def select(
        self,
        nodes: NDArray[np.int32],
        moves: NDArray[np.int32],
        c: float,
        *,
        claim: bool = False,
        widening: float = 0.0,
        widening_exponent: float = 0.5,
        max_draws: int = 8191,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Walk down by UCT from each node while it has children and moves are left.

        Each move goes to the child with the highest UCT = Q + c * sqrt(ln N_parent / N), where N
        counts visits (rStar-Math, section 3.1). Q is 0 if N is 0, and the second term is 0 if N or
        N_parent is 0. Children that are terminal, in flight or blocked are left out. The first of
        equals wins.

        A walk that comes to an exhausted node marks it terminal and ends with NO_NODE. It leaves
        the parent to the next walk, even if that is exhausted now. A walk that comes to a blocked
        node begins again from its start, now without that node.

        With `widening`, a walk with moves left ends at every node that wants one more draw of a
        child: one of N visits whose children were drawn k times in all, where k < max_draws and
        k < widening * (N + 1) ** widening_exponent. Where no draw is due and all children are
        terminal, the walk ends with no moves left. If max_draws is reached too, the node is
        exhausted, and the walk begins again from its start.

        The call changes only which nodes are claimed, blocked or terminal, never values or visits.

        Args:
            nodes: Node ids to start from, int32 [n]. A node may be named more than once: its walks
                are done in order, and with claim=True they find different nodes.
            moves: Largest number of moves of each walk, int32 [n], >= 0.
            c: Weight of exploration, finite, >= 0.
            claim: Whether to claim the nodes at which walks end with moves left.
            widening: Factor of the number of draws that a node may have by its visits, >= 0. 0: a
                walk ends at an unexpanded node, and no node wants more children.
            widening_exponent: Exponent of that number, >= 0.
            max_draws: Largest number of draws at one node, 1..8191. Not used without widening.

        Returns:
            The node at which each walk ended, int32 [n], and the moves that it had left, int32 [n].
            Instead of a node it is NO_NODE if the start was terminal or the walk ended at an
            exhausted node. It is BUSY if the start is in flight or blocked, or turned out to be
            blocked.

        Raises:
            ForestError: A number of moves is negative, `c`, `widening` or its exponent is negative
                or not finite, `max_draws` is out of range, or the arrays have different lengths.
        """

    def simulate(
        self,
        nodes: NDArray[np.int32],
        counts: NDArray[np.int32],
        child_values: NDArray[np.float64] | None,
        values: NDArray[np.float64],
        starts: NDArray[np.int32],
        moves: NDArray[np.int32],
        c: float,
        *,
        claim: bool = False,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Make one call of three: `expand` nodes, `backup` them, and `select` the next ones.

        The result is that of `expand(nodes, counts, child_values)`, `backup(nodes, values)` and
        `select(starts, moves, c, claim=claim)` one after another. It is faster than these calls,
        most of all for thousands of trees. That needs nodes and starts of the same trees, in
        ascending order and none of them twice. The nodes and the starts are in use before the call.

        Args:
            nodes: Node ids, int32 [n], as for `expand`.
            counts: Number of children of each node, int32 [n], in 1..8191.
            child_values: First value of every child, float64 [sum of counts], finite. None leaves
                the children unvisited.
            values: One value for each node, to back up, float64 [n], finite.
            starts: Node ids to select from, int32 [m].
            moves: Largest number of moves of each walk, int32 [m], >= 0.
            c: Weight of exploration, finite, >= 0.
            claim: Whether to claim the nodes at which walks end with moves left.

        Returns:
            Node id of the first child of each node, int32 [n]; the node at which each walk ended,
            int32 [m]; the moves that it had left, int32 [m].

        Raises:
            ForestError: One of the three calls would raise it. Nothing has changed then.
            CapacityError: A tree has no room for its new nodes, or the limit of memory would be
                passed.
        """

    def append(self, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give each node one more child, which is unvisited. A claim on the node ends.

        A child gets the lowest id that its tree has not used. So the children of a node need not
        have consecutive ids.

        Args:
            nodes: Node ids, int32 [n], of any trees, none of them terminal. A node may have
                children already, and may be named more than once.

        Returns:
            Node id of each child, int32 [n].

        Raises:
            ForestError: A node is terminal or has 8,191 children.
            CapacityError: A tree has no room for its new nodes, or the limit of memory would be
                passed.
        """

    def redraw(self, nodes: NDArray[np.int32]) -> None:
        """Count one more draw of each node. A claim on its parent ends.

        Args:
            nodes: Node ids, int32 [n]. A node may be named more than once.

        Raises:
            ForestError: A node is a root.
            CapacityError: The limit of memory would be passed.
        """

    def backup(self, nodes: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        """Add a value and a visit to each node and to all its ancestors, in the order given.

        Args:
            nodes: Node ids, int32 [n]. A node may be named more than once.
            values: One value for each node, float64 [n], finite.

        Raises:
            ForestError: A value is not finite, or the arrays have different lengths.
        """

    def add(self, nodes: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        """Add a value and a visit to each node and not to its ancestors, in the order given.

        Args:
            nodes: Node ids, int32 [n]. A node may be named more than once.
            values: One value for each node, float64 [n], finite.

        Raises:
            ForestError: A value is not finite, or the arrays have different lengths.
        """

    def set_terminal(self, nodes: NDArray[np.int32]) -> None:
        """Take nodes out of selection for good. Claims on them end.

        Nothing else changes: their values, visits and children stay.

        Args:
            nodes: Node ids, int32 [n]. A node may be terminal already or be named more than once.
        """

    def release(self, nodes: NDArray[np.int32]) -> None:
        """End the claims on nodes in flight without expanding them. Walks can come to them again.

        Args:
            nodes: Node ids, int32 [n], each in flight.

        Raises:
            ForestError: A node is not in flight.
        """

    def reroot(self, node: int) -> NDArray[np.int32]:
        """Make a node the root of its tree. All nodes that are not below it are forgotten.

        The nodes that stay keep their order, values, visits and claims. They get the ids from the
        front of the tree's range.

        Args:
            node: Node id.

        Returns:
            New id of every node that the tree had, in the order of the old ids, int32 [num_nodes
            before]. It is NO_NODE for a forgotten node.

        Raises:
            ForestError: A node that would be forgotten is in flight.
        """

    def prune(self, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Forget nodes of one tree and everything below them.

        Values that were backed up through them stay with their ancestors. A node that loses all its
        children can be expanded again. The nodes that stay get the ids from the front of the tree's
        range, in their old order.

        Args:
            nodes: Node ids of one tree, int32 [n], n >= 1, without its root.

        Returns:
            New id of every node that the tree had, in the order of the old ids, int32 [num_nodes
            before]. It is NO_NODE for a forgotten node.

        Raises:
            ForestError: No node is named, the nodes are of different trees, one of them is the
                root, or a node that would be forgotten is in flight.
        """

    def visits(self, tree: int) -> NDArray[np.int32]:
        """Return the number of values that were added to each node of a tree.

        Returns:
            Counts, int32 [num_nodes], in the order of the ids.
        """

    def value_sums(self, tree: int) -> NDArray[np.float64]:
        """Return the sum of the values that were added to each node of a tree.

        Returns:
            Sums, float64 [num_nodes], in the order of the ids.
        """

    def q(self, tree: int) -> NDArray[np.float64]:
        """Return Q of each node of a tree: the mean of its values, 0 where there are none.

        Returns:
            Means, float64 [num_nodes], in the order of the ids.
        """

    def parents(self, tree: int) -> NDArray[np.int32]:
        """Return the parent of each node of a tree.

        Returns:
            Node ids, int32 [num_nodes], in the order of the ids. The root's is NO_NODE.
        """

    def first_children(self, tree: int) -> NDArray[np.int32]:
        """Return the first child of each node of a tree.

        Returns:
            Node ids, int32 [num_nodes], in the order of the ids. It is NO_NODE where there is no
            child.
        """

    def num_children(self, tree: int) -> NDArray[np.int32]:
        """Return the number of children of each node of a tree.

        Returns:
            Counts, int32 [num_nodes], in the order of the ids.
        """

    def draws(self, tree: int) -> NDArray[np.int32]:
        """Return how often each node of a tree was drawn: once when it was made, and each `redraw`.

        Returns:
            Counts, int32 [num_nodes], in the order of the ids. The root's is 1.
        """

    def terminal(self, tree: int) -> NDArray[np.bool_]:
        """Return whether each node of a tree is terminal.

        An exhausted node is terminal only after a walk has come to it.

        Returns:
            Flags, bool [num_nodes], in the order of the ids.
        """

    def in_flight(self, tree: int) -> NDArray[np.bool_]:
        """Return whether each node of a tree is in flight, that is, claimed.

        Returns:
            Flags, bool [num_nodes], in the order of the ids.
        """

    def verify(self) -> None:
        """Check that everything the forest keeps is consistent.

        It checks that siblings are contiguous or in one list, come after their parent and have one
        parent; that claims and blocked nodes fit the nodes below them; and the number of trees.
        With `keep_values` it also adds up all values from the beginning and compares every node's
        visits and sum, bit for bit.

        Raises:
            InternalError: Something is inconsistent. The message says what and where.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the forest to a file. An existing file is replaced as a whole or not at all.

        The file holds the trees with their claims, and the kept values if there are any. It does
        not hold `memory_limit_bytes` and `threads`.

        Args:
            path: Path of the file.

        Raises:
            ForestError: The file cannot be written.
            InternalError: The forest is inconsistent.
        """

    @staticmethod
    def load(path: str | os.PathLike[str], *, memory_limit_bytes: int | None = None) -> Forest:
        """Return the forest that `save` wrote to a file.

        Args:
            path: Path of the file.
            memory_limit_bytes: Limit of the new forest's `memory_bytes`, >= 1. None for no limit.

        Raises:
            CapacityError: The forest takes more than `memory_limit_bytes`.
            ForestError: The file cannot be read, is not a saved forest, or is damaged. The message
                names the file and says why.
        """

NO_TOKEN: Final = -1
"""Stands for no token: the score index of a node that has no token on its path."""

class Pack:
    """Trees of token runs as one sequence in depth-first order.

    A packed index is a place in that sequence. A token at packed index k is seen by the tokens at q
    with k <= q < end[k]: by itself, by the rest of its own run, and by all tokens below.

    `pack` makes packs, and a pack never changes. Its arrays are read-only views that keep the pack
    alive.
    """

    @property
    def begin(self) -> NDArray[np.int32]:
        """Packed index of each node's first token, int32 [nodes].

        For a node without tokens it is the packed index at which its first child begins.
        """

    @property
    def score_index(self) -> NDArray[np.int32]:
        """Packed index of the last token on each node's path, int32 [nodes].

        A node without tokens has the score index of its parent. It is NO_TOKEN if there is no token
        on the path.
        """

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Token ids in packed order, int32 [tokens]."""

    @property
    def position(self) -> NDArray[np.int32]:
        """Number of tokens before each token on its path, int32 [tokens]."""

    @property
    def end(self) -> NDArray[np.int32]:
        """End of the subtree that begins at each token, int32 [tokens].

        It is one more than the packed index of the last token that sees this one.
        """

class BlockLists:
    """For each row, a block of queries, the columns, blocks of keys, that it sees.

    Row i sees the columns blocks[offsets[i]:split[i]] in full and blocks[split[i]:offsets[i + 1]]
    in part. Both lists ascend. The object never changes. Its arrays are read-only views that keep
    it alive.
    """

    @property
    def offsets(self) -> NDArray[np.int32]:
        """Index into `blocks` at which each row begins, int32 [rows + 1]."""

    @property
    def split(self) -> NDArray[np.int32]:
        """Index into `blocks` at which each row's full columns end, int32 [rows]."""

    @property
    def blocks(self) -> NDArray[np.int32]:
        """Columns of all rows, one row after the other, int32 [listed pairs]."""

    def transpose(self) -> BlockLists:
        """Return the same pairs of row and column, listed by column."""

def pack(
    parents: NDArray[np.int32], num_tokens: NDArray[np.int32], tokens: NDArray[np.int32]
) -> Pack:
    """Pack trees of token runs into one sequence in depth-first order.

    Roots and siblings keep the order given. The arrays have one dimension, exactly the dtype shown,
    and are contiguous. The call releases the GIL.

    Args:
        parents: Parent of each node, int32 [nodes]: the index of an earlier node, or -1 for a root.
        num_tokens: Number of tokens in each node's own run, int32 [nodes], >= 0.
        tokens: Token ids of all runs, one node after the other, int32 [sum of num_tokens], fewer
            than 2^31.

    Raises:
        PackError: An array is malformed. The message says where.
        TypeError: An array has another dtype or is not contiguous.
    """

def visible_blocks(
    end: NDArray[np.int32],
    position: NDArray[np.int32],
    queries: NDArray[np.int32],
    block_queries: int,
    block_keys: int,
    window: int | None = None,
) -> BlockLists:
    """Return, for each block of queries, the blocks of keys that it sees.

    Query q sees key k if k <= q < end[k] and, with a window, position[q] - position[k] < window. A
    block of keys is listed as full if every query of the row sees all of it and the sequence does
    not end inside it. Otherwise it is listed as partial; a partial block may turn out to be empty.

    The memory used is proportional to the lists returned, and so is the time, apart from blocks
    that the window leaves out.

    Args:
        end: `Pack.end`, int32 [tokens].
        position: `Pack.position`, int32 [tokens].
        queries: Packed indices of the tokens that ask, int32 [queries], ascending.
        block_queries: Number of consecutive queries in a row, >= 1.
        block_keys: Number of consecutive tokens in a column, >= 1.
        window: Number of positions that a query can see, its own included, >= 1. None for all.

    Raises:
        PackError: An array is malformed, a size is out of range, or more than 2^31 - 1 blocks are
            visible. The message says where.
        TypeError: An array has another dtype or is not contiguous.
    """

def attend(
    query: NDArray[np.float32],
    key: NDArray[np.float32],
    value: NDArray[np.float32],
    out: NDArray[np.float32],
    prefixes: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    rows: tuple[NDArray[np.float32], NDArray[np.float32]],
    table: NDArray[np.int32],
    scale: float,
    threads: int,
) -> None:
    """Attend from single tokens over kept keys and values, in place, with a plain softmax.

    First the key and value of every token in the table are written: behind those of its row, or
    where it has none, behind those of its prefix. Then each token attends over the tokens of its
    prefix that it sees and over those of its row, itself the last. A result depends on the token's
    own keys alone, bit for bit, whatever else the table holds.

    Args:
        query: Queries [query_heads, tokens, dim], dense in `dim`, which is a multiple of 16.
        key: Keys [kv_heads, tokens, dim] of the same tokens.
        value: Values, as `key`.
        out: Results [query_heads, tokens, dim]. Those of the tokens in the table are written.
        prefixes: Buffers of keys and of values [places, kv_heads, capacity, dim].
        rows: The same for what rows wrote behind their prefixes.
        table: Entries [entries, 6]: token, number of the prefix's buffer, place in it, tokens of
            the prefix that are seen, row or -1, tokens of the row that are seen, this one included.
        scale: Factor of the products.
        threads: Threads to use at most, >= 1.

    Raises:
        ValueError: A shape does not fit, or an entry points outside of its arrays. Nothing of
            `out` is written then.
    """

def gather_kv(
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    place: int,
    begin: int,
    end: int,
) -> NDArray[np.float32]:
    """Copy the keys and values of some tokens of a place into one array.

    Args:
        layers: Keys and values of each layer, dense [places, heads, capacity, dim].
        place: Place.
        begin: First token.
        end: Token after the last one.

    Returns:
        Array [end - begin, width]: for each token the keys, then the values of each layer.

    Raises:
        ValueError: There is no such place or token.
    """

def scatter_kv(
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    place: int,
    begin: int,
    flat: NDArray[np.float32],
) -> None:
    """Copy the keys and values of some tokens out of one array into a place.

    Args:
        layers: Keys and values of each layer, dense [places, heads, capacity, dim].
        place: Place.
        begin: First token that is written.
        flat: Array of the form that `gather_kv` returns, dense.

    Raises:
        ValueError: There is no such place or token, or the width is not that of the layers.
    """

def ids_to_bytes(runs: Sequence[Sequence[int]]) -> list[bytes]:
    """Return the token ids of each run as the bytes of an int32 array.

    Args:
        runs: Token ids, one sequence for each run.

    Raises:
        OverflowError: An id is out of the range of int32.
        TypeError: An id is not an integer, or a run is not a sequence.
    """

def logprobs_to_bytes(runs: Sequence[Sequence[float]]) -> list[bytes]:
    """Return the log-probabilities of each run as the bytes of a float32 array.

    Args:
        runs: Log-probabilities, one sequence for each run.

    Raises:
        TypeError: An element is not a number, or a run is not a sequence.
        ValueError: An element is NaN, infinite, or out of the range of float32.
    """

def untrack(objects: Sequence[object]) -> None:
    """Hide objects that can be part of no reference cycle from the garbage collector.

    The collector would look at each of them again and again, which takes a quarter of the time of a
    search that makes millions. The objects live and die as before.

    Args:
        objects: Objects to hide. An object that the collector does not track is left as it is.
    """
