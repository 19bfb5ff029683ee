"""Several searches of one problem as one tree: steps with the same text behind the same prefix become one node."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rstar_fast.errors import DataError
from rstar_fast.tree import Node, Tree


def merged(trees: Iterable[Tree]) -> list[Tree]:
    """One tree for each problem, in order of first appearance.

    Raises:
        DataError: two trees of one problem id are of different problems.
    """
    by_id: dict[str, list[Tree]] = {}
    for tree in trees:
        by_id.setdefault(tree.problem.id, []).append(tree)
    return [merge(group) for group in by_id.values()]


def merge(trees: Sequence[Tree]) -> Tree:
    """One tree of all steps of several searches of a problem (other seeds, other temperatures, other rounds).

    Visits are added up and Q is the mean over all of them. What else a node tells is told by the first tree that has it; the
    seed is the first tree's. Siblings with equal texts, which independent paths have, become one as well.

    Args:
        trees: one or more; not changed.

    Raises:
        DataError: they are not of one problem, or there are none.
    """
    if not trees:
        raise DataError("merge: expected one tree or more, got none")
    nodes: list[Node] = []
    places: dict[tuple[int, str], int] = {}
    for tree in trees:
        if tree.problem != trees[0].problem:
            raise DataError(
                f"merge: expected trees of one problem, got {trees[0].problem} and {tree.problem}"
            )
        _add(tree, nodes, places)
    counts: dict[str, int] = {}
    timings: dict[str, float] = {}
    for tree in trees:
        for kind, count in tree.counts.items():
            counts[kind] = counts.get(kind, 0) + count
        for kind, seconds in tree.timings.items():
            timings[kind] = timings.get(kind, 0.0) + seconds
    return Tree(trees[0].problem, _breadth_first(nodes), trees[0].seed, timings, counts)


def children_of(nodes: Sequence[Node]) -> list[list[Node]]:
    """The children of every node, in order of creation."""
    children: list[list[Node]] = [[] for _ in nodes]
    for node in nodes[1:]:
        children[node.parent].append(node)
    return children


def _add(tree: Tree, nodes: list[Node], places: dict[tuple[int, str], int]) -> None:
    """Add a tree's nodes, parents first, to those found so far."""
    at: list[int] = []
    for node in tree.nodes:
        parent = at[node.parent] if node.parent >= 0 else -1
        place = places.setdefault((parent, node.text), len(nodes))
        if place == len(nodes):
            nodes.append(replace(node, id=place, parent=parent))
        else:
            _join(nodes[place], node)
        at.append(place)


def _join(known: Node, other: Node) -> None:
    visits = known.visits + other.visits
    if visits:
        known.q = (known.q * known.visits + other.q * other.visits) / visits
    known.visits = visits
    known.score = other.score if known.score is None else known.score
    known.correct = other.correct if known.correct is None else known.correct


def _breadth_first(nodes: list[Node]) -> list[Node]:
    """The nodes renumbered so that siblings stand together, as `Tree` has them."""
    children = children_of(nodes)
    order = [nodes[0]]
    for node in order:
        order += children[node.id]
    new_id = {node.id: i for i, node in enumerate(order)}
    return [replace(node, id=i, parent=new_id.get(node.parent, -1)) for i, node in enumerate(order)]
