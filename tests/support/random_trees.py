"""Random trees of token runs, as packing and the kernels take them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class TokenTree:
    """A forest of token runs.

    Attributes:
        parents: int32 [nodes], -1 at roots.
        num_tokens: int32 [nodes].
        tokens: int32 [sum of num_tokens], node after node.
    """

    parents: NDArray[np.int32]
    num_tokens: NDArray[np.int32]
    tokens: NDArray[np.int32]

    def path(self, node: int) -> list[int]:
        """Nodes from the root down to `node`."""
        found = [node]
        while self.parents[found[-1]] >= 0:
            found.append(int(self.parents[found[-1]]))
        return found[::-1]

    def run(self, node: int) -> list[int]:
        """A node's own tokens."""
        begin = int(self.num_tokens[:node].sum())
        return [int(token) for token in self.tokens[begin : begin + self.num_tokens[node]]]

    def text(self, node: int) -> list[int]:
        """All tokens from the root to the end of `node`."""
        return [token for ancestor in self.path(node) for token in self.run(ancestor)]


def token_tree(
    parents: list[int], num_tokens: list[int], vocabulary: int = 50, seed: int = 0
) -> TokenTree:
    """A forest of this shape with random tokens."""
    tokens = np.random.default_rng(seed).integers(0, vocabulary, sum(num_tokens)).astype(np.int32)
    return TokenTree(np.array(parents, np.int32), np.array(num_tokens, np.int32), tokens)


def random_tree(
    seed: int, num_nodes: int, num_roots: int = 1, longest: int = 9, vocabulary: int = 50
) -> TokenTree:
    """A random forest; a sixth of the nodes are empty, no root is."""
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
"""The shapes every packed computation must get right."""
