"""Particle filtering over steps, guided by a PPM (Puri et al., 2025)."""

from math import log
from typing import cast

import numpy as np

from rstar_fast.search.expansion import TreeTask
from rstar_fast.search.live import ROOT, LiveTree
from rstar_fast.search.stopping import grow
from rstar_fast.seeding import draw_key, stream

MAX_SCORE = 0.998
"""Scores are cut to this size, so that none rules a particle out or is certain."""


def particles(tree: LiveTree) -> TreeTask:
    """Grow a tree by `candidates` particles, which all go one step at a time.

    A particle stands on a node. After each step, the particles without an answer are drawn anew
    among those that can go on. The weight of a particle is the factor by which its last step
    changed the odds of (1 + score) / 2 being right: the softmax of the change of the logit, so that
    all factors of a path are the odds of its last score. A node with several particles gets as many
    children, each from a draw of its own. A particle with an answer is kept, and one that came to a
    dead end is drawn anew from the others.

    In the paper particles with an answer are drawn anew too, and the weight is the softmax of the
    logit itself.
    """
    standing = [ROOT] * tree.config.candidates
    answered = 0
    level = 0
    while standing:
        known, level = len(tree.nodes), level + 1
        tree.open_paths = len(standing)
        wanted = [(node, standing.count(node)) for node in dict.fromkeys(standing)]
        yield from grow(tree, wanted, distinct=False)
        if tree.ended:
            return
        new = tree.nodes[known:]
        answered += sum(node.end == "answer" for node in new)
        alive = [node.id for node in new if not node.end]
        chosen = _draw(tree, alive, tree.config.candidates - answered, level) if alive else []
        standing = [alive[i] for i in chosen]


def _draw(tree: LiveTree, alive: list[int], count: int, level: int) -> list[int]:
    """Draw particles by their weights.

    The draw is systematic: one random number places `count` equal steps over the weights, so that a
    particle with the share w comes up floor(count * w) or ceil(count * w) times (Carpenter et al.,
    1999).

    Args:
        tree: The tree.
        alive: Ids of nodes to draw from.
        count: Number of draws.
        level: Number of the step, which keys the random number.

    Returns:
        Indices into `alive`, in order.
    """
    changes = np.array(
        [_logit(tree, node) - _logit(tree, tree.nodes[node].parent) for node in alive]
    )
    weights = np.exp(changes - changes.max())
    ends = np.cumsum(weights) / weights.sum()
    # No node has a negative id, so no candidate's draw has this key.
    key = draw_key(tree.config.seed, tree.problem.key, -level, 0)
    places = (stream(key).random() + np.arange(count)) / count
    found = np.searchsorted(ends, places, side="right").clip(max=len(alive) - 1)
    return cast(list[int], found.tolist())


def _logit(tree: LiveTree, node: int) -> float:
    score = tree.nodes[node].score
    if score is None:
        return 0.0
    score = max(-MAX_SCORE, min(MAX_SCORE, score))
    return log((1 + score) / (1 - score))
