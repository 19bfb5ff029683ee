"""The strategies: how a problem's tree is grown. Each is a coroutine over `expand`."""

import math
from collections.abc import Callable

from rstar_fast._core import NO_NODE
from rstar_fast.config import Strategy
from rstar_fast.search.expansion import Steps, expand, together
from rstar_fast.search.live import LiveTree
from rstar_fast.tree import Node

ROOT = 0


def mcts(tree: LiveTree) -> Steps:
    """Rollouts guided by UCT; each expands every unexpanded node it meets (rule 3 of the search semantics)."""
    config = tree.config
    for _ in range(config.rollouts):
        node, _ = tree.select(ROOT, 1)
        if node == NO_NODE:
            return
        moves = config.max_depth
        while node != NO_NODE:
            node, moves = tree.select(node, moves)
            if node == NO_NODE or moves == 0:
                break
            yield from expand(tree, node, config.candidates)


def beam(tree: LiveTree) -> Steps:
    """Level by level, the best-valued steps go on; final answers stay where they are."""
    frontier = [ROOT]
    while frontier:
        known = len(tree.nodes)
        yield from together([expand(tree, node, tree.config.candidates) for node in frontier])
        alive = [node for node in tree.nodes[known:] if not node.end]
        frontier = [node.id for node in sorted(alive, key=_by_score)[: tree.config.beam_width]]


def greedy(tree: LiveTree) -> Steps:
    """One path: the best-scored candidate at every step, or the first where nothing scores."""
    node = ROOT
    while True:
        known = len(tree.nodes)
        yield from expand(tree, node, tree.config.candidates)
        best = min(tree.nodes[known:], key=_by_score)
        if best.end:
            return
        node = best.id


def best_of_n(tree: LiveTree) -> Steps:
    """`candidates` independent paths, to be chosen from at their ends."""
    yield from expand(tree, ROOT, tree.config.candidates, distinct=False)
    yield from together([_path(tree, node.id) for node in tree.nodes[1:] if not node.end])


def _path(tree: LiveTree, node: int) -> Steps:
    while True:
        yield from expand(tree, node, 1)
        (child,) = (other for other in tree.nodes if other.parent == node)
        if child.end:
            return
        node = child.id


def _by_score(node: Node) -> tuple[float, int]:
    """Sort key: highest score first, then the order of creation; dead ends last."""
    if node.end not in ("", "answer"):
        return (math.inf, node.id)
    return (-node.score if node.score is not None else 0.0, node.id)


STRATEGIES: dict[Strategy, Callable[[LiveTree], Steps]] = {
    "mcts": mcts,
    "beam": beam,
    "greedy": greedy,
    "best_of_n": best_of_n,
}
