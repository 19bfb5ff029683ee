"""Random trees of token runs, in the form that `pack` and the kernels take."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class TokenTree:
    """Trees of token runs.

    Attributes:
        parents: Parent of each node, int32 [nodes]. -1 for a root.
        num_tokens: Number of tokens in each node's run, int32 [nodes].
        tokens: Token ids of all runs, int32 [sum of num_tokens], one node after the other.
    """

    parents: NDArray[np.int32]
    num_tokens: NDArray[np.int32]
    tokens: NDArray[np.int32]

    def path(self, node: int) -> list[int]:
        """Return the nodes from the root down to `node`."""
        found = [node]
        while self.parents[found[-1]] >= 0:
            found.append(int(self.parents[found[-1]]))
        return found[::-1]

    def run(self, node: int) -> list[int]:
        """Return a node's own tokens."""
        begin = int(self.num_tokens[:node].sum())
        return [int(token) for token in self.tokens[begin : begin + self.num_tokens[node]]]

    def text(self, node: int) -> list[int]:
        """Return all tokens from the root to the end of `node`."""
        return [token for ancestor in self.path(node) for token in self.run(ancestor)]


def token_tree(
    parents: list[int], num_tokens: list[int], vocabulary: int = 50, seed: int = 0
) -> TokenTree:
    """Return trees of the given shape with random tokens."""
    tokens = np.random.default_rng(seed).integers(0, vocabulary, sum(num_tokens)).astype(np.int32)
    return TokenTree(np.array(parents, np.int32), np.array(num_tokens, np.int32), tokens)


def random_tree(
    seed: int, num_nodes: int, num_roots: int = 1, longest: int = 9, vocabulary: int = 50
) -> TokenTree:
    """Return random trees. A sixth of the nodes have no tokens, but every root has some."""
    draw = np.random.default_rng(seed)
    parents = [-1] * num_roots + [
        int(draw.integers(max(0, i - 12), i)) for i in range(num_roots, num_nodes)
    ]
    counts = [
        int(draw.integers(1, longest + 1)) if i < num_roots or draw.random() > 1 / 6 else 0
        for i in range(num_nodes)
    ]
    return token_tree(parents, counts, vocabulary, seed)


SHAPES = {
    "single node": token_tree([-1], [7]),
    "single token": token_tree([-1], [1]),
    "chain": token_tree([-1, *range(11)], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]),
    "64 wide": token_tree([-1, *[0] * 64], [10, *(i % 5 + 1 for i in range(64))]),
    "empty steps": token_tree([-1, 0, 1, 1, 0, 4, 5], [5, 0, 3, 0, 0, 0, 2]),
    "random": random_tree(1, 40),
    "forest of 100": random_tree(2, 300, num_roots=100, longest=4),
}
"""Shapes that every computation on packed trees must get right."""
