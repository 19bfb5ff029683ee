"""The choice of leaves that become samples."""

from rstar_fast.checks import check_integer
from rstar_fast.programs import program_key
from rstar_fast.training_samples.values import graded_leaves
from rstar_fast.tree import Node, Tree


def choose_leaves(tree: Tree, count: int, balanced: bool = True) -> list[int]:
    """Return the ids of some graded leaves, in the order of the tree.

    Solutions with the same programs and the same last step are one, and its most visited leaf
    stands for it. Others of its leaves are taken only when there are too few solutions. More
    visited leaves come first, and of equals the earlier one.

    A choice by visits or by outcome is no fair draw from the policy. So no credit is without bias
    on it, see `docs/trainers.md`.

    Args:
        tree: Finished tree.
        count: Number of leaves wanted, >= 1. A tree with fewer graded leaves gives them all.
        balanced: Whether half of the leaves shall be right, as far as there are enough of each.
            False takes what comes first.

    Raises:
        ConfigError: `count` is out of range.
        DataError: An answer was not graded.
    """
    check_integer("count", count, low=1)
    found = _distinct_first(tree, graded_leaves(tree))
    if balanced:
        right = [leaf for leaf in found if leaf.correct]
        wrong = [leaf for leaf in found if not leaf.correct]
        num_wrong = min(len(wrong), max(count // 2, count - len(right)))
        found = right[: count - num_wrong] + wrong[:num_wrong]
    return sorted(leaf.id for leaf in found[:count])


def _distinct_first(tree: Tree, leaves: list[Node]) -> list[Node]:
    """Return leaves by visits: first one of each solution, then all others."""
    keys = [program_key(node.step) for node in tree.nodes]
    seen: set[tuple[bytes, ...]] = set()
    first: list[Node] = []
    others: list[Node] = []
    for leaf in sorted(leaves, key=lambda leaf: (-leaf.visits, leaf.id)):
        key = tuple(keys[node.id] for node in tree.path(leaf.id))
        (others if key in seen else first).append(leaf)
        seen.add(key)
    return first + others
