"""What every method solves at equal numbers of generated tokens."""

import json

import pytest
from data_trees import make_tree

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import (
    Known,
    Measured,
    Sample,
    known_by,
    measure,
    sample_methods,
    sample_timeline,
    scored_sample_methods,
    search_methods,
    search_timeline,
    tree_timeline,
)
from rstar_fast.tree import Tree


def right(tokens: int = 10, score: float | None = None, logprob: float | None = None) -> Sample:
    return Sample("5", True, tokens, score, logprob)


def wrong(tokens: int = 10, score: float | None = None, logprob: float | None = None) -> Sample:
    return Sample("6", False, tokens, score, logprob)


def dead(tokens: int = 10) -> Sample:
    return Sample("", False, tokens)


def test_a_budget_counts_dead_samples() -> None:
    timeline = sample_timeline([dead(30), right(10), wrong(5)])
    assert [one.tokens for one in timeline] == [30, 40, 45]
    assert [len(known_by(timeline, tokens)) for tokens in (29, 30, 40, 44, 45)] == [0, 1, 2, 2, 3]


def searched() -> Tree:
    """A search of 60 tokens whose first answer is wrong. The policy drew A three times of four."""
    tree = make_tree(
        ("A ", 0.0, ("wrong", 0.0, False), ("right", 0.0, True)),
        ("B ", 0.0, ("wrong", 0.0, False)),
    )
    for node, (spent, draws) in zip(
        tree.nodes, [(0, 1), (10, 3), (20, 1), (30, 1), (45, 2), (60, 1)], strict=True
    ):
        node.spent, node.draws = spent, draws
        node.score = 0.5
    tree.counts["generated_tokens"] = 70
    return tree


def test_the_answers_of_a_search_are_known_when_they_are_drawn_and_weigh_what_was_drawn() -> None:
    timeline = search_timeline([searched(), searched()])
    assert [one.tokens for one in timeline] == [30, 45, 60, 100, 115, 130]
    assert [one.sample.answer for one in timeline[:3]] == ["6", "5", "6"]
    assert [one.sample.weight for one in timeline[:3]] == [0.25, 0.5, 0.25]


def test_paths_of_independent_samples_are_known_one_after_another() -> None:
    tree = make_tree(("a ", 0.0, ("5", 0.0, True)), ("c ", 0.0, ("d", 0.0)))
    for node in tree.nodes[1:]:
        node.token_ids = (1, 2, 3)
    timeline = tree_timeline([tree, tree])
    assert [(one.tokens, one.sample.answer) for one in timeline] == [
        (6, "5"),
        (12, ""),
        (18, "5"),
        (24, ""),
    ]


def test_every_method_at_every_budget() -> None:
    pools = {
        "p": [wrong(10, 0.1, -0.1), right(10, 0.9, -0.3), dead(10), right(10, 0.2, -0.2)],
        "q": [dead(25), wrong(10, 0.3, -0.5)],
    }
    plain = {key: sample_timeline(pool) for key, pool in pools.items()}
    methods = sample_methods(plain, {"ppm": plain})
    methods |= search_methods("search", {"p": search_timeline([searched()])})
    found = measure(methods, {"p": "known", "q": "reworded"}, [60, 10, 40])
    assert found.budgets == (10, 40, 60) and found.group_names == ["known", "reworded"]
    of_p = {name: [by_budget[0] for by_budget in flags] for name, flags in found.solved.items()}
    assert of_p == {
        "majority": [False, True, True],
        "pass": [False, True, True],
        "likeliest": [False, False, False],
        "ppm: best": [False, True, True],
        "ppm: weighted vote": [False, True, True],
        "search: vote": [False, False, False],
        "search: pass": [False, False, True],
        "search: weighted vote": [False, False, False],
        "search: best": [False, False, False],
    }
    # Problem q has no search and no right sample.
    assert not any(by_budget[1] for flags in found.solved.values() for by_budget in flags)
    assert found.share("majority", 40).successes == 1
    assert found.share("majority", 40, "known").trials == 1
    assert str(found.compare("majority", "search: vote", 60)) == "+50.0 [+0.0, +100.0] (+1 -0, p 1)"
    assert Measured.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ConfigError, match=r"expected a method among majority, .* got 'best' at 10"):
        found.share("best", 10)


def test_the_greedy_solution_is_the_first_sample_and_costs_its_tokens() -> None:
    samples = {"p": [right(10, 0.2, -0.2)], "q": [right(10, 0.9, -0.3)]}
    scored = {"ppm": ({"p": [wrong(20, 0.1, -0.1)]}, samples)}
    found = measure(scored_sample_methods(scored), {"p": "a", "q": "a"}, [10, 20, 30])
    names = ("majority", "pass", "likeliest", "ppm: best", "ppm: weighted vote")
    assert list(found.solved) == [*names, *(f"{name} with greedy" for name in names)]
    both, only_q = (True, True), (False, True)
    assert found.solved["ppm: best"] == (both, both, both)
    assert found.solved["ppm: best with greedy"] == (only_q, only_q, both)
    assert found.solved["likeliest with greedy"] == (only_q, only_q, only_q)


def test_a_draw_weighs_against_many_paths_of_the_search() -> None:
    # The search went to the wrong answer twice, but the policy draws A in three of four.
    tree = searched()
    tree.nodes[4].draws = 3
    found = measure(search_methods("s", {"p": search_timeline([tree])}), {"p": "all"}, [60])
    assert found.solved["s: vote"] == ((True,),)


def test_a_method_needs_the_scores_of_all_answers() -> None:
    plain = {"p": sample_timeline([wrong(), right(10, 0.5), dead()])}
    assert list(sample_methods(plain, {"ppm": plain})) == ["majority", "pass"]
    assert list(search_methods("s", {"p": [Known(3, wrong())]})) == ["s: vote", "s: pass"]


def test_there_must_be_something_to_measure() -> None:
    with pytest.raises(ConfigError, match="expected problems and budgets, got 0 and 1"):
        measure({}, {}, [3])
