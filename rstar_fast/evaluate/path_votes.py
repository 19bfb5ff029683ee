"""A vote of a tree's answers by how probable their paths are, rather than by how often they came.

A search visits some branches more than others. So the number of leaves that give an answer says
little of what the policy thinks of it. The share of a node's draws that gave a child says it
without bias, wherever the search drew more or less. The product of the shares on a path estimates
the probability that the policy writes this path.
"""

from collections import defaultdict
from math import exp

from rstar_fast.errors import ConfigError
from rstar_fast.tree import Node, Tree
from rstar_fast.verify.grade.spelling import Spelling, spelling


def path_shares(tree: Tree) -> list[float]:
    """Return, for every node, the product of the shares of draws on its path, in [0, 1].

    The share of a node is its draws over those of all children of its parent. The root has 1.
    """
    draws: defaultdict[int, int] = defaultdict(int)
    for node in tree.nodes:
        draws[node.parent] += node.draws
    shares = [1.0]
    for node in tree.nodes[1:]:
        shares.append(shares[node.parent] * node.draws / draws[node.parent])
    return shares


def path_vote(tree: Tree, trust: float = 1.0) -> Node | None:
    """Return a final node of the answer with the most weight. None without an answer.

    A final node weighs the share of its path (`path_shares`) times exp(trust * score), where the
    score is the PPM's, in [-1, 1], and 0 where there is none. Answers are equal if they are spelled
    alike (`spelling`). Of the final nodes with the chosen answer the heaviest is returned. Ties go
    to the first.

    Args:
        tree: Finished tree of any strategy.
        trust: Weight of the scores, >= 0. 0 leaves them out. 1 makes the best score count 7 times
            as much as the worst one.

    Raises:
        ConfigError: `trust` is negative or not finite.
    """
    if not 0 <= trust < float("inf"):
        raise ConfigError(f"trust: expected a number of at least 0, got {trust}")
    shares = path_shares(tree)
    heaviest: dict[Spelling, tuple[float, Node]] = {}
    weights: defaultdict[Spelling, float] = defaultdict(float)
    finals = [node for node in tree.finals() if node.answer]
    top = max((node.score or 0.0 for node in finals), default=0.0)
    for node in finals:
        form = spelling(node.answer)
        # Relative to the best score, so that no weight is too large for a float.
        weight = shares[node.id] * exp(trust * ((node.score or 0.0) - top))
        weights[form] += weight
        if form not in heaviest or weight > heaviest[form][0]:
            heaviest[form] = (weight, node)
    return heaviest[max(weights, key=weights.__getitem__)][1] if weights else None
