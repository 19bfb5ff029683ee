"""The texts of a problem as one tree of tokens, with what a PPM learns at its nodes.

A beginning that texts have in common is in the tree once. A forward pass over the packed tree
therefore encodes every token once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rstar_fast._core import Pack, pack
from rstar_fast.ppm.texts import Tokens


class Comparison(NamedTuple):
    """A node that is preferred to other nodes.

    Attributes:
        preferred: Index of the preferred node.
        others: Indices of the nodes that it is preferred to.
        weight: Weight of each pair in the loss.
        margins: Log-probability under the policy of the preferred node's path less that of the
            other's, for every pair, nats. None where the policy does not report it.
    """

    preferred: int
    others: tuple[int, ...]
    weight: float
    margins: tuple[float | None, ...]

    def moved(self, base: int) -> "Comparison":
        """Return the comparison with `base` added to all indices."""
        return self._replace(
            preferred=self.preferred + base, others=tuple(other + base for other in self.others)
        )


class Target(NamedTuple):
    """A value that a node should get.

    Attributes:
        node: Index of the node.
        value: Outcome (0 or 1) or Q (in [-1, 1]), by the objective.
        logprob: Log-probability under the policy of the path to the node, nats. None where the
            policy does not report it.
    """

    node: int
    value: float
    logprob: float | None

    def moved(self, base: int) -> "Target":
        """Return the target with `base` added to the index."""
        return self._replace(node=self.node + base)


@dataclass
class TokenTree:
    """The tree of tokens of one problem.

    Attributes:
        parents: Index of every node's parent. -1 at the root, which is the prompt.
        tokens: Token ids of every node.
        comparisons: Comparisons of its nodes.
        targets: Targets of its nodes.
    """

    parents: list[int] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    _places: dict[tuple[int, Tokens], int] = field(default_factory=dict)

    def add(self, pieces: Sequence[Tokens]) -> list[int]:
        """Add a text, and return the index of the node of each of its pieces.

        Pieces that are in the tree already are not added again. A piece without tokens has the
        node of the piece before it.
        """
        found, node = [], -1
        for piece in pieces:
            if piece:
                place = self._places.setdefault((node, piece), len(self.parents))
                if place == len(self.parents):
                    self.parents.append(node)
                    self.tokens.append(piece)
                node = place
            found.append(node)
        return found

    @property
    def num_tokens(self) -> int:
        """Number of tokens of all nodes."""
        return sum(map(len, self.tokens))

    @property
    def num_examples(self) -> int:
        """Number of pairs and targets."""
        return sum(len(comparison.others) for comparison in self.comparisons) + len(self.targets)


@dataclass(frozen=True)
class PackedTrees:
    """Several trees as one sequence.

    Attributes:
        packed: The sequence. Its nodes are the nodes of the trees, one tree after the other.
        comparisons: Comparisons of all trees, with indices into the nodes of `packed`.
        targets: Targets of all trees, with indices into the nodes of `packed`.
    """

    packed: Pack
    comparisons: list[Comparison]
    targets: list[Target]


def micro_batches(trees: Iterable[TokenTree], max_tokens: int) -> Iterator[list[TokenTree]]:
    """Yield trees in runs of at most `max_tokens` tokens. A larger tree is a run of its own."""
    run: list[TokenTree] = []
    num_tokens = 0
    for tree in trees:
        if run and num_tokens + tree.num_tokens > max_tokens:
            yield run
            run, num_tokens = [], 0
        run.append(tree)
        num_tokens += tree.num_tokens
    if run:
        yield run


def pack_trees(trees: Sequence[TokenTree]) -> PackedTrees:
    """Pack trees into one sequence."""
    parents: list[int] = []
    tokens: list[int] = []
    counts: list[int] = []
    comparisons: list[Comparison] = []
    targets: list[Target] = []
    for tree in trees:
        base = len(parents)
        parents += [parent if parent < 0 else parent + base for parent in tree.parents]
        counts += map(len, tree.tokens)
        tokens += [token for piece in tree.tokens for token in piece]
        comparisons += [comparison.moved(base) for comparison in tree.comparisons]
        targets += [target.moved(base) for target in tree.targets]
    packed = pack(
        np.array(parents, np.int32), np.array(counts, np.int32), np.array(tokens, np.int32)
    )
    return PackedTrees(packed, comparisons, targets)
