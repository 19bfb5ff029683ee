"""Several searches of a problem as one tree.

Steps with the same text after the same prefix become one node.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rstar_fast.errors import DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree, children_of


def merged(trees: Iterable[Tree]) -> list[Tree]:
    """Return one tree for each problem, in order of the problems' first appearance.

    Raises:
        DataError: Two trees have the same problem id and different problems.
    """
    by_id: dict[str, list[Tree]] = {}
    for tree in trees:
        by_id.setdefault(tree.problem.id, []).append(tree)
    return [merge(group) for group in by_id.values()]


def merge(trees: Sequence[Tree]) -> Tree:
    """Return one tree of all steps of several searches of a problem.

    The searches may differ in seed, temperature or round, and may be of different copies of the
    problem. The merged tree is of the problem itself, with `copy` None. Visits and draws are added
    up, Q is the mean over all visits, and `spent` is 0. Everything else about a node comes from the
    first tree that has it. The seed is that of the first tree. Siblings with equal texts, which
    independent paths have, become one node too.

    Args:
        trees: Trees of one problem, one or more. They are not changed.

    Raises:
        DataError: The trees are not of one problem, or there are none.
    """
    if not trees:
        raise DataError("merge: expected one tree or more, got none")
    problem = _original(trees[0])
    nodes: list[Node] = []
    places: dict[tuple[int, str], int] = {}
    for tree in trees:
        if _original(tree) != problem:
            raise DataError(
                f"merge: expected trees of one problem, got {problem} and {_original(tree)}"
            )
        _add(tree, nodes, places)
    counts: dict[str, int] = {}
    timings: dict[str, float] = {}
    for tree in trees:
        for kind, count in tree.counts.items():
            counts[kind] = counts.get(kind, 0) + count
        for kind, seconds in tree.timings.items():
            timings[kind] = timings.get(kind, 0.0) + seconds
    return Tree(problem, _breadth_first(nodes), trees[0].seed, timings, counts)


def _original(tree: Tree) -> Problem:
    return replace(tree.problem, copy=None)


def _add(tree: Tree, nodes: list[Node], places: dict[tuple[int, str], int]) -> None:
    """Add the nodes of a tree, parents first, to the merged nodes.

    Args:
        tree: Tree to add.
        nodes: Merged nodes. Extended, and nodes that the tree has too are changed.
        places: Index into `nodes` by parent's index and text. Extended.
    """
    at: list[int] = []
    for node in tree.nodes:
        parent = at[node.parent] if node.parent >= 0 else -1
        place = places.setdefault((parent, node.text), len(nodes))
        if place == len(nodes):
            nodes.append(replace(node, id=place, parent=parent, spent=0))
        else:
            _join(nodes[place], node)
        at.append(place)


def _join(known: Node, other: Node) -> None:
    visits = known.visits + other.visits
    if visits:
        known.q = (known.q * known.visits + other.q * other.visits) / visits
    known.visits = visits
    known.draws += other.draws
    known.score = other.score if known.score is None else known.score
    if known.correct is None:
        known.correct, known.unsure = other.correct, other.unsure


def _breadth_first(nodes: list[Node]) -> list[Node]:
    """Return the nodes with new ids, so that siblings are next to each other, as in `Tree`."""
    children = children_of(nodes)
    order = [nodes[0]]
    for node in order:
        order += children[node.id]
    new_id = {node.id: i for i, node in enumerate(order)}
    return [replace(node, id=i, parent=new_id.get(node.parent, -1)) for i, node in enumerate(order)]
