"""Credit of the steps of solutions: which step gets how much of the reward.

`docs/trainers.md` has each rule's formula, its source, and its measured bias and variance.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Literal, get_args

from rstar_fast.checks import check_choice
from rstar_fast.errors import DataError
from rstar_fast.training_samples.values import TreeValues
from rstar_fast.tree import Node, Tree

Credit = Literal["outcome", "group", "q", "q_gain", "siblings", "tree_rl", "tree_grpo", "tree_adv"]
"""A rule of credit. Only "outcome" and "siblings" are without bias, and these two only if every
leaf is taken and counts by its share (`Sample.share`).

"outcome": each step has the reward of the leaf.
"group": the reward less the mean of the leaves, over their standard deviation, as in GRPO.
"q": the step's Q in the search.
"q_gain": the step's Q less that of its parent.
"siblings": the step's value less that of the other draws at its parent.
"tree_rl": the step's value, less the root's plus less the parent's, over the root of the number of
leaves that pass the step.
"tree_grpo": the standardized reward among all leaves, plus that among the leaves below the same
first step.
"tree_adv": the mean standardized reward of the leaves that pass the step.
"""

_EPSILON = 1e-6
"""Number that is added to a standard deviation, as in the code of Tree-GRPO."""


@dataclass(frozen=True)
class _Group:
    """Leaves of one tree that share credit.

    Attributes:
        values: Values of the tree.
        paths: Nodes on the path to each leaf.
    """

    values: TreeValues
    paths: Sequence[Sequence[Node]]

    @property
    def rewards(self) -> list[float]:
        return [self.values.rewards[path[-1].id] for path in self.paths]


def step_credit(
    tree: Tree, leaves: Sequence[int], credit: Credit, values: TreeValues
) -> list[list[float]]:
    """Return the credit of each step on the path to each leaf.

    Args:
        tree: Finished tree.
        leaves: Ids of graded leaves.
        credit: Rule.
        values: Values of the tree.

    Raises:
        ConfigError: There is no such rule.
        DataError: A node is no graded leaf.
    """
    check_choice("credit", credit, get_args(Credit))
    for leaf in leaves:
        if leaf not in values.rewards:
            raise DataError(
                f"problem {tree.problem.id!r}: node {leaf}: expected a leaf that is right or wrong"
            )
    group = _Group(values, [tree.path(leaf) for leaf in leaves])
    return _RULES[credit](tree, group)


def _outcome(tree: Tree, group: _Group) -> list[list[float]]:
    return _spread(group, group.rewards)


def _group_relative(tree: Tree, group: _Group) -> list[list[float]]:
    return _spread(group, standardized(group.rewards))


def _q(tree: Tree, group: _Group) -> list[list[float]]:
    return [[node.q for node in path] for path in group.paths]


def _q_gain(tree: Tree, group: _Group) -> list[list[float]]:
    return [[node.q - tree.nodes[node.parent].q for node in path] for path in group.paths]


def _siblings(tree: Tree, group: _Group) -> list[list[float]]:
    values, baselines = group.values.values, group.values.baselines
    return [[values[node.id] - baselines[node.id] for node in path] for path in group.paths]


def _tree_rl(tree: Tree, group: _Group) -> list[list[float]]:
    means, passing = group.values.leaf_means, _num_passing(group)

    def credit_of(node: Node) -> float:
        value = means[node.id]
        gains = (value - means[0]) + (value - means[node.parent])
        return gains / sqrt(passing[node.id])

    return [list(map(credit_of, path)) for path in group.paths]


def _tree_grpo(tree: Tree, group: _Group) -> list[list[float]]:
    rewards = group.rewards
    below: defaultdict[int, list[int]] = defaultdict(list)
    for i, path in enumerate(group.paths):
        below[path[0].id].append(i)
    total = standardized(rewards)
    for members in below.values():
        for i, one in zip(members, standardized([rewards[i] for i in members]), strict=True):
            total[i] += one
    return _spread(group, total)


def _tree_adv(tree: Tree, group: _Group) -> list[list[float]]:
    passing = _num_passing(group)
    sums: defaultdict[int, float] = defaultdict(float)
    for path, one in zip(group.paths, standardized(group.rewards), strict=True):
        for node in path:
            sums[node.id] += one
    return [[sums[node.id] / passing[node.id] for node in path] for path in group.paths]


def standardized(rewards: Sequence[float]) -> list[float]:
    """Return rewards less their mean, over their standard deviation. A single one stays."""
    if len(rewards) < 2:
        return list(rewards)
    mean, spread = fmean(rewards), stdev(rewards) + _EPSILON
    return [(reward - mean) / spread for reward in rewards]


def _spread(group: _Group, of_leaves: Sequence[float]) -> list[list[float]]:
    """Return one number of each leaf as that of all its steps."""
    return [[one] * len(path) for path, one in zip(group.paths, of_leaves, strict=True)]


def _num_passing(group: _Group) -> Counter[int]:
    """Return the number of leaves that pass each node."""
    return Counter(node.id for path in group.paths for node in path)


_RULES: dict[str, Callable[[Tree, _Group], list[list[float]]]] = {
    "outcome": _outcome,
    "group": _group_relative,
    "q": _q,
    "q_gain": _q_gain,
    "siblings": _siblings,
    "tree_rl": _tree_rl,
    "tree_grpo": _tree_grpo,
    "tree_adv": _tree_adv,
}
