"""The vote of a tree's answers by how probable their paths are."""

from itertools import permutations
from math import log

import pytest

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import path_shares, path_vote
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree


def tree(*ends: tuple[int, int, str, float | None], draws: tuple[int, int] = (3, 1)) -> Tree:
    """A root with two steps, 1 and 2, and final nodes (parent, draws, answer, score)."""
    nodes = [Node(0, -1, 0), *(Node(i, 0, 1, f"x = {i}", draws=draws[i - 1]) for i in (1, 2))]
    for parent, count, answer, score in ends:
        end = Node(len(nodes), parent, 2, f"\\boxed{{{answer}}}", end="answer", answer=answer)
        end.draws, end.score = count, score
        nodes.append(end)
    return Tree(Problem("p", "q"), nodes)


def test_a_branch_that_the_search_visited_often_has_no_more_votes() -> None:
    # Three leaves say 7, but the policy hardly ever goes where they are.
    one = tree((1, 1, "5", None), (2, 2, "7", None), (2, 1, "7", None), (2, 1, "7 ", None))
    assert path_shares(one) == [1.0, 0.75, 0.25, 0.75, 0.125, 0.0625, 0.0625]
    majority, chosen = one.majority(), path_vote(one)
    assert majority and majority.answer == "7"
    assert chosen and chosen.answer == "5"


def drawn(*probabilities: float) -> Tree:
    """A root and steps of these probabilities, drawn once each in this order."""
    nodes = [Node(0, -1, 0)]
    for probability in probabilities:
        nodes.append(Node(len(nodes), 0, 1, f"x = {len(nodes)}"))
        # A step has two tokens.
        nodes[-1].logprobs = [log(probability) / 2] * 2
    return Tree(Problem("p", "q"), nodes)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_shares_of_draws_without_repetition_have_no_bias(count: int) -> None:
    policy = {"a": 0.5, "b": 0.3, "c": 0.15, "d": 0.05}
    mean = dict.fromkeys(policy, 0.0)
    for order in permutations(policy, count):
        chance, left = 1.0, 1.0
        for step in order:
            chance *= policy[step] / left
            left -= policy[step]
        shares = path_shares(drawn(*(policy[step] for step in order)))[1:]
        assert sum(shares) == pytest.approx(1, abs=1e-6)
        for step, share in zip(order, shares, strict=True):
            mean[step] += chance * share
    assert mean == pytest.approx(policy, abs=1e-6)


def test_shares_lie_between_those_of_draws_and_probabilities() -> None:
    assert path_shares(drawn(1e-9, 1e-9, 1e-9))[1:] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert path_shares(drawn(0.2, 0.7, 0.1))[1:] == pytest.approx([0.2 + 0.8 / 3, 0.5, 0.1 / 3])
    # Probabilities of more than 1 in sum, as rounding gives them.
    assert min(path_shares(drawn(0.9, 0.2, 0.1))) >= 0
    # What no engine should tell.
    absurd = drawn(0.5, 0.5)
    absurd.nodes[1].logprobs = [2000.0]
    assert path_shares(absurd)[1:] == [1.0, 0.0]


def test_shares_of_draws_serve_where_a_step_came_twice_or_a_probability_is_unknown() -> None:
    twice = drawn(0.6, 0.4)
    twice.nodes[1].draws = 3
    assert path_shares(twice)[1:] == [0.75, 0.25]
    unknown = drawn(0.6, 0.4)
    unknown.nodes[2].logprobs = []
    assert path_shares(unknown)[1:] == [0.5, 0.5]


def test_spellings_of_an_answer_vote_together() -> None:
    one = tree((1, 2, "5", None), (1, 3, "1/2", None), (2, 1, "1 / 2", None), draws=(1, 1))
    chosen = path_vote(one)
    assert chosen and chosen.answer == "1 / 2"


def test_scores_count_as_far_as_they_are_trusted() -> None:
    one = tree((1, 3, "5", -0.5), (1, 2, "7", 0.5))
    assert [
        (chosen := path_vote(one, trust)) and chosen.answer for trust in (0.0, 0.3, 1.0, 1e6)
    ] == ["5", "5", "7", "7"]


def test_without_an_answer_nothing_is_chosen() -> None:
    assert path_vote(tree()) is None and path_vote(tree((1, 1, "", None))) is None
    for trust in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="trust: expected a number"):
            path_vote(tree(), trust)
