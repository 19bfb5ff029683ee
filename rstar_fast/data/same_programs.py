"""Steps and trajectories that differ only in the wording of the same programs, taken together."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from rstar_fast.data.trajectories import Trajectory
from rstar_fast.programs import program_key
from rstar_fast.tree import Node, Tree

Key = Hashable


class DistinctStep(NamedTuple):
    """Siblings that count as one step.

    Attributes:
        key: What they have in common.
        node: The one among them that stands for all: the most visited, or the first of equals.
        ids: Ids of all their nodes.
        q: Their mean Q, weighted by visits.
    """

    key: Key
    node: Node
    ids: tuple[int, ...]
    q: float


def distinct_steps(children: Sequence[Node], by_program: bool) -> list[DistinctStep]:
    """Return the distinct steps among siblings, in order of the first node of each.

    Args:
        children: Children of one node.
        by_program: Whether siblings with the same program are one step. False for each its own.
    """
    groups: dict[Key, list[Node]] = {}
    for child in children:
        key = program_key(child.step) if by_program else child.id
        groups.setdefault(key, []).append(child)
    return [_step(key, nodes) for key, nodes in groups.items()]


def distinct_trajectories(
    tree: Tree, found: Sequence[Trajectory], by_program: bool
) -> list[tuple[Key, Trajectory]]:
    """Return the distinct trajectories with their keys, in order of the first of each.

    Trajectories are the same if the programs of their steps and their final steps are. The first
    one stands for all, with the means of their Q.

    Args:
        tree: Tree of the trajectories.
        found: Trajectories of the tree.
        by_program: Whether trajectories with the same programs are one. False for each its own.
    """
    if not by_program:
        return [(one.node, one) for one in found]
    keys = [program_key(node.step) for node in tree.nodes]
    groups: dict[Key, list[Trajectory]] = {}
    for one in found:
        key = tuple(keys[node.id] for node in tree.path(one.node))
        groups.setdefault(key, []).append(one)
    return [(key, _trajectory(same)) for key, same in groups.items()]


def _step(key: Key, nodes: Sequence[Node]) -> DistinctStep:
    # max() takes the first of equals.
    shown = max(nodes, key=lambda node: node.visits)
    visits = sum(node.visits for node in nodes)
    q = sum(node.q * node.visits for node in nodes) / visits if visits else shown.q
    return DistinctStep(key, shown, tuple(node.id for node in nodes), q)


def _trajectory(same: Sequence[Trajectory]) -> Trajectory:
    if len(same) == 1:
        return same[0]
    qs = tuple(map(fmean, zip(*(one.qs for one in same), strict=True)))
    return replace(same[0], qs=qs)
