"""The rewards of a tree's leaves, and what they say of the steps above them."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import SupportsFloat

from rstar_fast.errors import DataError
from rstar_fast.tree import Node, Tree

Reward = Callable[[Node], float]
"""A function that gives the reward of a leaf."""


def outcome(leaf: Node) -> float:
    """Return 1 for a right answer and 0 for a wrong one or none."""
    return 1.0 if leaf.correct else 0.0


def graded_leaves(tree: Tree) -> list[Node]:
    """Return the leaves that have an outcome, in the order of their ids.

    They are the final answers that are right or wrong, and the paths that ended without an answer.
    Left out are answers whose grade is unsure, and nodes at which the search could have gone on. A
    root is no leaf, as no step leads to it.

    Raises:
        DataError: An answer was not graded.
    """
    leaves = []
    for node in tree.nodes[1:]:
        if node.end == "answer" and node.correct is None:
            raise DataError(
                f"problem {tree.problem.id!r}: node {node.id}: expected a graded answer, got "
                f"{node.answer!r} without a grade; samples need problems with accepted answers"
            )
        if node.end and not node.unsure:
            leaves.append(node)
    return leaves


def _reward_of(tree: Tree, leaf: Node, reward: Reward) -> float:
    found = reward(leaf)
    if not isinstance(found, SupportsFloat) or not isfinite(found):
        raise DataError(
            f"problem {tree.problem.id!r}: node {leaf.id}: reward: expected a finite number, "
            f"got {found!r}"
        )
    return float(found)


@dataclass(frozen=True)
class TreeValues:
    """Rewards of the graded leaves of a tree, and their means at the steps above them.

    A node without a graded leaf at or below it counts as if it had never been drawn.

    Attributes:
        rewards: Reward of each graded leaf, by node id.
        values: Estimated reward after each node, by node id: the leaf's reward, or the mean of the
            children's values, each child as often as it was drawn.
        shares: Share of draws on the path to each node, by node id: the product over the path of a
            node's draws over those of all siblings. The leaves' shares add up to 1.
        baselines: Estimated reward after each node's parent, by node id, without what one draw of
            the node itself has led to: the mean of the values of all other draws at its parent. If
            there is none, the nearest node above it with siblings tells. 0 where there is no other
            draw in the tree.
        leaf_means: Mean reward of the graded leaves at or below each node, every leaf once.
    """

    rewards: dict[int, float]
    values: dict[int, float] = field(default_factory=dict)
    shares: dict[int, float] = field(default_factory=dict)
    baselines: dict[int, float] = field(default_factory=dict)
    leaf_means: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Tree, reward: Reward = outcome) -> "TreeValues":
        """Compute the values of a tree.

        Raises:
            DataError: An answer was not graded, or a reward is no finite number.
        """
        found = cls({leaf.id: _reward_of(tree, leaf, reward) for leaf in graded_leaves(tree)})
        draws: defaultdict[int, int] = defaultdict(int)
        sums: defaultdict[int, float] = defaultdict(float)
        leaves: defaultdict[int, int] = defaultdict(int)
        totals: defaultdict[int, float] = defaultdict(float)
        for node in reversed(tree.nodes):
            if node.id in found.rewards:
                found.values[node.id] = totals[node.id] = found.rewards[node.id]
                leaves[node.id] = 1
            elif draws[node.id]:
                found.values[node.id] = sums[node.id] / draws[node.id]
            else:
                continue
            found.leaf_means[node.id] = totals[node.id] / leaves[node.id]
            draws[node.parent] += node.draws
            sums[node.parent] += node.draws * found.values[node.id]
            leaves[node.parent] += leaves[node.id]
            totals[node.parent] += totals[node.id]
        found._descend(tree, draws, sums)
        return found

    def _descend(self, tree: Tree, draws: dict[int, int], sums: dict[int, float]) -> None:
        # What is known without any draw of a node, for those below it that have no siblings.
        outside: dict[int, float] = {}
        for node in tree.nodes:
            if node.id not in self.values:
                continue
            if node.parent < 0:
                self.shares[node.id], outside[node.id] = 1.0, 0.0
                self.baselines[node.id] = 0.0
                continue
            value, total, count = self.values[node.id], sums[node.parent], draws[node.parent]
            above = outside[node.parent]
            others = count - node.draws
            self.shares[node.id] = self.shares[node.parent] * node.draws / count
            self.baselines[node.id] = (total - value) / (count - 1) if count > 1 else above
            outside[node.id] = (total - node.draws * value) / others if others else above
