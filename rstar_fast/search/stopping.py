"""The rules that end a tree early (rule 10 of docs/search.md)."""

from collections.abc import Sequence

from rstar_fast.search.expansion import TreeTask, expand, together
from rstar_fast.search.live import LiveTree
from rstar_fast.tree import Ended


def grow(tree: LiveTree, wanted: Sequence[tuple[int, int]], distinct: bool = True) -> TreeTask:
    """Expand several nodes, as far as the tokens go.

    Nothing happens if a rule ends the tree. `LiveTree.ended` is then set, and the strategy returns.

    Args:
        tree: Tree, which is changed in place.
        wanted: Ids of unexpanded nodes, one or more, and the number of steps that each is to get.
            Where tokens are short, the first ones come first.
        distinct: Whether to drop repeated candidates, see `expand`.
    """
    draws = allot(tree, [count for _, count in wanted])
    expansions = [
        expand(tree, node, count, distinct)
        for (node, _), count in zip(wanted, draws, strict=True)
        if count
    ]
    if expansions:
        yield from together(expansions) if len(expansions) > 1 else expansions[0]


def allot(tree: LiveTree, wanted: Sequence[int]) -> list[int]:
    """Return how many draws each of some requests may have now, see `TokenBudget.share`.

    All are 0 if a rule ends the tree. `LiveTree.ended` is then set.
    """
    tree.ended = reason_to_end(tree)
    return [0] * len(wanted) if tree.ended else tree.budget.share(wanted)


def reason_to_end(tree: LiveTree) -> Ended:
    """Return why a tree is to end before its next expansion. "" if it may go on."""
    config = tree.config
    if tree.budget.spent:
        return "budget"
    if not (config.stop_when_sure or config.stop_when_settled or config.token_price):
        return ""
    ballot = tree.ballot()
    if config.stop_when_sure and (ballot.sure() or 0.0) >= config.stop_when_sure:
        return "sure"
    if config.stop_when_settled and ballot.lead() > tree.open_paths:
        return "settled"
    tokens = tree.counts["generated_tokens"]
    if 1000 * ballot.gain() < config.token_price * tokens:
        return "price"
    return ""


def natural_end(tree: LiveTree) -> Ended:
    """Return why a tree ended whose strategy has nothing left to do."""
    if tree.config.strategy == "mcts":
        return "rollouts"
    return "budget" if tree.nodes[-1].end == "budget" else "paths"
