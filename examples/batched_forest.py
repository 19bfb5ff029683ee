"""Use the tree core alone: a Monte Carlo tree search of your own, over many trees in each call.

The game: get from a number down to 1 in few moves, each of them -1, or /2 or /3 where that comes
out even. One tree for each number.

Run it by `python examples/batched_forest.py`.
"""

import numpy as np
from numpy.typing import NDArray

from rstar_fast import Forest

MOVES = ("-1", "/2", "/3")
SIMULATIONS = 400
MAX_DEPTH = 30
Ints = NDArray[np.int64]


class Game:
    """The searches of all numbers. State of your own stands in arrays, indexed by node id."""

    def __init__(self, starts: Ints) -> None:
        self.forest = Forest(len(starts), 1 + len(MOVES) * SIMULATIONS)
        trees = self.forest.new_trees(len(starts))
        self.roots = trees * np.int32(self.forest.nodes_per_tree)
        capacity = self.forest.max_trees * self.forest.nodes_per_tree
        self.number = np.ones(capacity, np.int64)
        self.move = np.zeros(capacity, np.int8)
        self.number[self.roots] = starts

    def simulate(self, c: float = 0.1) -> None:
        """Take one simulation in every tree: select, expand with first values, back up."""
        forest, moves = self.forest, np.full(len(self.roots), MAX_DEPTH, np.int32)
        leaves, moves_left = forest.select(self.roots, moves, c)
        # A negative id: all of this tree has been tried.
        alive = (leaves >= 0) & (moves_left > 0)
        leaves, depth = leaves[alive], MAX_DEPTH - moves_left[alive] + 1
        if not len(leaves):
            return
        here = self.number[leaves]
        there = np.stack([here - 1, here // 2, here // 3], axis=1)
        allowed = np.stack([here > 1, here % 2 == 0, here % 3 == 0], axis=1)
        # Moves made and a guess at those to come, as a value: short solutions are worth most.
        values = 1.0 - (depth[:, None] + np.log2(np.maximum(there, 1))) / MAX_DEPTH
        counts = allowed.sum(axis=1, dtype=np.int32)
        first = forest.expand(leaves, counts, values[allowed])
        # The children of one leaf have consecutive ids.
        children = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        self.number[children] = there[allowed]
        self.move[children] = np.nonzero(allowed)[1]
        forest.set_terminal(children[there[allowed] == 1].astype(np.int32))
        forest.backup(leaves, np.where(allowed, values, -1.0).max(axis=1))

    def shortest(self, tree: int) -> list[str]:
        """Return the moves of the shortest solution found, [] if there is none."""
        root, parents = self.forest.root(tree), self.forest.parents(tree)
        found = []
        for node in np.flatnonzero(self.number[root : root + len(parents)] == 1) + root:
            path: list[str] = []
            while node != root:
                path.append(MOVES[self.move[node]])
                node = parents[node - root]
            found.append(path[::-1])
        return min(found, key=len, default=[])


def main() -> None:
    game = Game(np.array([10, 97, 246, 1000, 4095]))
    for _ in range(SIMULATIONS):
        game.simulate()
    game.forest.verify()
    for tree, start in enumerate(game.number[game.roots]):
        path = game.shortest(tree)
        print(f"{start}: {len(path)} moves ({' '.join(path)}), ", end="")
        print(f"{game.forest.num_nodes(tree)} nodes")


if __name__ == "__main__":
    main()
