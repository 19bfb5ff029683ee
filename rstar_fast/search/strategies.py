"""The strategies, which say how a problem's tree grows. Each is a coroutine over `grow`."""

import math
from collections.abc import Callable

from rstar_fast._core import BUSY, NO_NODE
from rstar_fast.config import Strategy
from rstar_fast.search.expansion import TreeTask, draw_child, together
from rstar_fast.search.live import ROOT, LiveTree
from rstar_fast.search.particles import particles
from rstar_fast.search.stopping import allot, grow
from rstar_fast.search.widening import widening_mcts
from rstar_fast.tree import Node


def mcts(tree: LiveTree) -> TreeTask:
    """Grow a tree by rollouts that UCT guides (rule 3 of docs/search.md).

    With `widening`, nodes get their children one by one (`widening.widening_mcts`). Else a rollout
    expands every unexpanded node that it meets. `leaves_per_tree` rollouts are under way at once
    and take turns. In a turn, each one walks on, in the order in which they began, to a node that
    no other has claimed. Then all these nodes are expanded. A rollout that finds only claimed nodes
    waits for the next turn.
    """
    config = tree.config
    if config.widening:
        yield from widening_mcts(tree)
        return
    to_begin = config.rollouts
    # The node that each rollout has reached, and the moves that it has left.
    walks: list[tuple[int, int]] = []
    while True:
        waiting, walks = walks[::-1], []
        wanted: list[tuple[int, int]] = []
        # Every node that is claimed is expanded in this turn.
        at_once = tree.budget.affordable(config.leaves_per_tree)
        while len(walks) < at_once and (waiting or to_begin):
            if not waiting:
                to_begin -= 1
            # The first selection from an expanded root is not one of the rollout's moves.
            node, moves = waiting.pop() if waiting else (ROOT, config.max_depth + 1)
            reached, left = tree.claim(node, moves)
            if reached == BUSY:
                walks.append((node, moves))
            elif reached != NO_NODE and left:
                walks.append((reached, min(left, config.max_depth)))
                wanted.append((reached, config.candidates))
            elif left > config.max_depth:
                # The root itself is exhausted.
                to_begin, tree.ended = 0, "exhausted"
        walks += waiting[::-1]
        tree.rollouts_done = config.rollouts - to_begin - len(walks)
        if not wanted:
            return
        yield from grow(tree, wanted)
        if tree.ended:
            return


def beam(tree: LiveTree) -> TreeTask:
    """Grow a tree level by level from the `beam_width` best-scored steps.

    Final answers end where they are.
    """
    frontier = [ROOT]
    while frontier:
        known = len(tree.nodes)
        yield from grow(tree, [(node, tree.config.candidates) for node in frontier])
        if tree.ended:
            return
        alive = [node for node in tree.nodes[known:] if not node.end]
        frontier = [node.id for node in sorted(alive, key=_by_score)[: tree.config.beam_width]]


def greedy(tree: LiveTree) -> TreeTask:
    """Grow one path of the best-scored candidates, or of the first ones where nothing is scored."""
    node = ROOT
    while True:
        known = len(tree.nodes)
        yield from grow(tree, [(node, tree.config.candidates)])
        if tree.ended:
            return
        best = min(tree.nodes[known:], key=_by_score)
        if best.end:
            return
        node = best.id


def best_of_n(tree: LiveTree) -> TreeTask:
    """Grow `candidates` independent paths, of which one is chosen at the end.

    Where the tree may end early, one path after another is begun and goes to its end.
    """
    count = tree.config.candidates
    if not tree.config.may_end_early:
        yield from grow(tree, [(ROOT, count)], distinct=False)
        yield from together([_path(tree, node.id) for node in tree.nodes[1:] if not node.end])
        return
    for number in range(count):
        first, tree.open_paths = len(tree.nodes), count - number
        allot(tree, [1])
        if tree.ended:
            return
        yield from draw_child(tree, ROOT, number)
        if not tree.nodes[first].end:
            yield from _path(tree, first)
        if tree.ended:
            return


def _path(tree: LiveTree, node: int) -> TreeTask:
    while True:
        yield from grow(tree, [(node, 1)])
        if tree.ended:
            return
        (child,) = (other for other in tree.nodes if other.parent == node)
        if child.end:
            return
        node = child.id


def _by_score(node: Node) -> tuple[float, int]:
    """Return a sort key: highest score first, then order of creation, dead ends last."""
    if node.end not in ("", "answer"):
        return (math.inf, node.id)
    return (-node.score if node.score is not None else 0.0, node.id)


STRATEGIES: dict[Strategy, Callable[[LiveTree], TreeTask]] = {
    "mcts": mcts,
    "beam": beam,
    "greedy": greedy,
    "best_of_n": best_of_n,
    "particles": particles,
}
