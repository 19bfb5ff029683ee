"""The price of tokens at which searches that share a budget stay within it."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from rstar_fast.checks import check_number
from rstar_fast.errors import ConfigError
from rstar_fast.search.votes import Ballot
from rstar_fast.tree import Tree


class Promise(NamedTuple):
    """What a search promised at some moment.

    Attributes:
        tokens: Number of tokens generated so far.
        price: Highest `token_price` at which the search would have gone on until then.
    """

    tokens: int
    price: float


def promises(tree: Tree) -> list[Promise]:
    """Return what a search promised before each of its expansions, and at its end.

    Prices never rise: a search that is given up does not go on when it would promise more again.

    Args:
        tree: Tree of any search whose policy told token ids.
    """
    found, price = [Promise(0, inf)], inf
    for i, node in enumerate(tree.nodes[1:], 1):
        if i + 1 < len(tree.nodes) and tree.nodes[i + 1].parent == node.parent:
            continue
        if node.spent:
            price = min(price, 1000 * Ballot.of(tree.nodes[: i + 1]).gain() / node.spent)
        found.append(Promise(node.spent, price))
    found.append(Promise(tree.counts.get("generated_tokens", 0), price))
    return found


def price_for(trees: Sequence[Tree], mean_tokens: float) -> float:
    """Return the lowest `token_price` at which searches take no more tokens than a mean.

    Use it for further problems of the same kind. It looks at votes alone, never at known answers.

    Args:
        trees: Searches without a price, of problems like those to come.
        mean_tokens: Mean number of tokens per problem that is to be kept, > 0.

    Raises:
        ConfigError: There are no trees, `mean_tokens` is out of range, or no price keeps it.
    """
    check_number("mean_tokens", mean_tokens, low=0, low_excluded=True)
    if not trees:
        raise ConfigError("price_for: expected at least one tree, got none")
    searches = [promises(tree) for tree in trees]

    def mean_at(price: float) -> float:
        return sum(_tokens_at(one, price) for one in searches) / len(searches)

    prices = sorted({0.0, *(one.price for search in searches for one in search[1:])})
    # A search goes on at its very price: the one above it ends the search.
    low, high = 0, len(prices) - 1
    if mean_at(prices[high]) > mean_tokens:
        raise ConfigError(
            f"price_for: expected a mean of at least {mean_at(prices[high]):.0f} tokens, which the "
            f"first expansions take, got {mean_tokens}"
        )
    while low < high:
        middle = (low + high) // 2
        if mean_at(prices[middle]) <= mean_tokens:
            high = middle
        else:
            low = middle + 1
    return prices[low]


def _tokens_at(search: Sequence[Promise], price: float) -> int:
    """Return the tokens that a search takes at a price."""
    return next((one.tokens for one in search if one.price < price), search[-1].tokens)
