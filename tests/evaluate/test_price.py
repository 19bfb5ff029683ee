"""The price of tokens for a shared budget, found in recorded searches and kept by new ones."""

from math import inf
from typing import Any

import pytest
from step_lengths import Lengths, trees

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.price import price_for, promises
from rstar_fast.tree import Tree

OPTIONS: dict[str, Any] = {"strategy": "best_of_n", "candidates": 10}
COUNT = 12


def searched(**options: Any) -> list[Tree]:
    return list(trees(Lengths(), COUNT, **OPTIONS, **options).values())


def mean_tokens(found: list[Tree]) -> float:
    return sum(tree.counts["generated_tokens"] for tree in found) / len(found)


def test_a_price_keeps_a_mean_budget() -> None:
    # Paths go one after another in both searches.
    whole = searched(max_tokens=2**40)
    assert price_for(whole, 1e9) == 0.0
    for share in (0.8, 0.5):
        wanted = share * mean_tokens(whole)
        priced = searched(token_price=price_for(whole, wanted))
        assert 0.5 * wanted < mean_tokens(priced) <= wanted
        # No search has other steps than without a price, but for those that it did not make.
        by_id = {tree.problem.id: tree for tree in whole}
        for tree in priced:
            steps = [node.step for node in tree.nodes]
            assert steps == [node.step for node in by_id[tree.problem.id].nodes[: len(steps)]]
            spent = {one.tokens for one in promises(by_id[tree.problem.id])}
            assert tree.counts["generated_tokens"] in spent


def test_promises_fall() -> None:
    for tree in searched(max_tokens=2**40):
        found = promises(tree)
        assert found[0] == (0, inf) and found[-1].tokens == tree.counts["generated_tokens"]
        assert [one.price for one in found] == sorted((one.price for one in found), reverse=True)
        assert [one.tokens for one in found] == sorted(one.tokens for one in found)


def test_what_cannot_be_kept_is_an_error() -> None:
    whole = searched()
    with pytest.raises(ConfigError, match="expected at least one tree"):
        price_for([], 100)
    with pytest.raises(ConfigError, match="mean_tokens: expected a number above 0"):
        price_for(whole, 0)
    with pytest.raises(ConfigError, match=r"expected a mean of at least .* got 1"):
        price_for(whole, 1)
