"""A vote of a tree's answers by how probable their paths are, rather than by how often they came.

A search visits some branches more than others. So the number of leaves that give an answer says
little of what the policy thinks of it. How the children of a node were drawn says it without bias,
wherever the search drew more or less. The product over a path estimates the probability that the
policy writes this path.
"""

from collections import defaultdict
from math import exp, isnan

from rstar_fast.errors import ConfigError
from rstar_fast.tree import Node, Tree, children_of, probability
from rstar_fast.verify.grade.spelling import Spelling, spelling


def path_shares(tree: Tree) -> list[float]:
    """Return, for every node, an estimate of its path's probability under the policy, in [0, 1].

    It is the product of the shares on the path. The shares of siblings add up to 1. Where a step
    was drawn twice, or its log-probability is unknown, a share is that of the draws. Siblings that
    came once each have the weights of Raj's estimator for draws without repetition (Des Raj, "Some
    estimators in sampling with varying probabilities without replacement", 1956). The j-th drawn of
    k siblings has the probability p_j and the share

        share_j = ((k - j) p_j + 1 - p_1 - ... - p_{j-1}) / k

    These are the shares of draws, 1 / k, where all are improbable, and the probabilities themselves
    where the siblings are all that the policy can write. They are without bias if the siblings were
    drawn at temperature 1. The root has 1.
    """
    shares = [1.0] * len(tree.nodes)
    # Parents come before their children.
    for parent, siblings in enumerate(children_of(tree.nodes)):
        for child, share in zip(siblings, _shares(siblings), strict=True):
            shares[child.id] = shares[parent] * share
    return shares


def _shares(siblings: list[Node]) -> list[float]:
    count = sum(node.draws for node in siblings)
    probabilities = [probability(node.logprob_bytes) for node in siblings]
    if count > len(siblings) or any(map(isnan, probabilities)):
        return [node.draws / count for node in siblings]
    shares, left = [], 1.0
    for later, own in zip(reversed(range(count)), probabilities, strict=True):
        shares.append((later * own + max(left, 0.0)) / count)
        left -= own
    return shares


def path_vote(tree: Tree, trust: float = 16.0) -> Node | None:
    """Return a final node of the answer with the most weight. None without an answer.

    A final node weighs the share of its path (`path_shares`) times exp(trust * score), where the
    score is the PPM's, in [-1, 1], and 0 where there is none. Answers are equal if they are spelled
    alike (`spelling`). Of the final nodes with the chosen answer the heaviest is returned. Ties go
    to the first.

    Args:
        tree: Finished tree of any strategy.
        trust: Weight of the scores, >= 0. 0 leaves them out. 1 makes the best score count 7 times
            as much as the worst one. With 16 an answer that is a hundred times as probable makes up
            for a score that is 0.29 lower.

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
