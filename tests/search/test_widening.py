"""Nodes that get their children one by one, when visits ask for them (rule 7)."""

import random
from collections import Counter
from math import ceil, log
from typing import Any

import pytest
from ask_tell import Engine, drive, problems, searched

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.tree import Node, Tree

VALUES: list[dict[str, bool]] = [
    {"use_scores": True},
    {"use_scores": False},
    {"use_scores": False, "annotate_terminals_with_ground_truth": True},
    {"use_scores": True, "annotate_terminals_with_ground_truth": True},
]
OPTIONS = {"widening": 1.5, "candidates": 20, "rollouts": 30, "c": 0.5}


class Scripted:
    """Writes the texts of one problem in turn, whatever the node."""

    def __init__(self, *texts: str, tokens: int = 1) -> None:
        self.texts = iter(texts)
        self.asked: list[tuple[int, int, int]] = []
        self.tokens = tuple(range(tokens))

    def expand(self, request: ExpandRequest) -> Expansion:
        self.asked.append((request.node, request.first_candidate, request.num_candidates))
        return Expansion(request.id, (Candidate(next(self.texts), self.tokens),))

    run, grade, score = Engine.run, Engine.grade, Engine.score


def tree_of(engine: Any, **options: Any) -> Tree:
    search = Search(SearchConfig.from_dict({"use_scores": False, "candidates": 20, **options}))
    search.add([Problem("p", "question", ("3",))])
    (tree,) = drive(search, engine)
    assert isinstance(tree, Tree)
    return tree


def values_below(nodes: list[Node]) -> dict[int, int]:
    """Return, for each node, how many draws came to an end at or below it."""
    ends = dict.fromkeys(range(len(nodes)), 0)
    for node in nodes:
        if node.end:
            at: int = node.id
            while at >= 0:
                ends[at] += node.draws
                at = nodes[at].parent
    return ends


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("leaves", [1, 3])
def test_same_trees_in_any_order_of_arrival(values: dict[str, bool], leaves: int) -> None:
    options = {**OPTIONS, **values, "leaves_per_tree": leaves}
    first = searched(**options)
    assert searched(order=random.Random(1), max_active=3, **options) == first
    assert searched(order=random.Random(2), max_active=1, **options) == first
    assert searched(seed=1, **options) != first


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("leaves", [1, 4])
def test_nodes_have_as_many_draws_as_their_visits_allow(
    values: dict[str, bool], leaves: int
) -> None:
    for nodes in searched(6, **OPTIONS, **values, leaves_per_tree=leaves).values():
        assert [node.id for node in nodes] == list(range(len(nodes)))
        ends = values_below(nodes)
        for node in nodes:
            children = [child for child in nodes if child.parent == node.id]
            draws = sum(child.draws for child in children)
            assert len({child.step for child in children}) == len(children)
            # The last visit of a node was counted after the draw that it made.
            assert draws <= min(20, ceil(1.5 * node.visits**0.5 + 1e-9))
            assert not (children and node.end)
            # Every rollout counts on its whole path: dead, repeated and answered ones.
            assert node.visits >= ends[node.id]
        spent = [node.spent for node in nodes]
        assert spent == sorted(spent) and spent[0] == 0
        assert spent[-1] == 3 * sum(node.draws for node in nodes[1:]) or nodes[-1].draws > 1


def test_rollouts_end_in_an_answer_or_a_dead_end() -> None:
    step, answer = "x{} = 1<end_of_step>", r"<answer>\boxed{{{}}}<end_of_answer>"
    engine = Scripted(step.format(1), step.format(2), answer.format(3))
    tree = tree_of(engine, widening=2.0, rollouts=1)
    assert engine.asked == [(0, 0, 1), (1, 0, 1), (2, 0, 1)]
    assert [node.end for node in tree.nodes] == ["", "", "", "answer"]
    assert [node.visits for node in tree.nodes] == [1, 1, 1, 1] and tree.solved


def test_a_repeated_draw_is_paid_for_counted_and_walked_on_from() -> None:
    step, answer = "x = 1<end_of_step>", r"<answer>\boxed{3}<end_of_answer>"
    engine = Scripted(
        step, answer, step, answer, step, r"<answer>\boxed{4}<end_of_answer>", tokens=5
    )
    tree = tree_of(
        engine,
        widening=2.0,
        rollouts=3,
        annotate_terminals_with_ground_truth=True,
    )
    assert engine.asked == [(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 2, 1), (1, 2, 1)]
    assert [(node.draws, node.spent) for node in tree.nodes] == [(1, 0), (3, 5), (2, 10), (1, 30)]
    assert [node.visits for node in tree.nodes] == [3, 3, 2, 1]
    assert tree.nodes[0].q == pytest.approx(1 / 3) and tree.nodes[3].q == -1.0
    assert tree.counts["generated_tokens"] == 30
    assert [len(tree.cut(tokens).nodes) for tokens in (0, 4, 5, 29, 30)] == [1, 1, 2, 3, 4]
    assert tree.cut(29).counts["generated_tokens"] == 10


def test_a_dead_rollout_counts_on_its_whole_path_and_is_not_returned_to() -> None:
    step = "x = {}<end_of_step>"
    answer = r"<answer>\boxed{3}<end_of_answer>"
    engine = Scripted(step.format(1), "  ", step.format(2), answer, answer)
    tree = tree_of(engine, widening=1.0, rollouts=3)
    assert [node.end for node in tree.nodes] == ["", "", "stuck", "", "answer"]
    # The third rollout found two children of the root, of which the second had not died.
    assert [(node.visits, node.q) for node in tree.nodes[1:3]] == [(1, -1.0), (1, -1.0)]
    assert tree.nodes[0].visits == 3 and tree.nodes[4].draws == 2


def test_a_rollout_that_finds_only_ends_draws_nothing_before_its_turn() -> None:
    answer = r"<answer>\boxed{3}<end_of_answer>"
    engine = Scripted(*[answer] * 9)
    tree = tree_of(engine, widening=1.0, rollouts=9)
    # 1 * sqrt(N + 1): draws at the visits 1, 2, 5 and 10.
    assert [node.draws for node in tree.nodes] == [1, 3]
    assert tree.nodes[0].visits == 9 and tree.counts["generated_tokens"] == 3
    tree = tree_of(Scripted(*[answer] * 2), widening=2.0, rollouts=50, candidates=2)
    assert tree.nodes[1].draws == 2 and tree.nodes[0].exhausted


def test_a_step_of_the_same_program_is_one_node() -> None:
    texts = [
        "<code>\n# two apples\nx = 2\n<end_of_step>",
        r"<answer>\boxed{3}<end_of_answer>",
        "<code>\nx=2 # three\n<end_of_step>",
        r"<answer> \boxed{3}<end_of_answer>",
    ]
    tree = tree_of(Scripted(*texts), widening=2.0, rollouts=2, distinct_programs=True)
    assert [(node.draws, node.step) for node in tree.nodes[1:]] == [
        (2, texts[0]),
        (1, texts[1]),
        (1, texts[3]),
    ]
    assert tree.counts["run_requests"] == 1


def test_expansions_at_once_pay_for_a_program_once() -> None:
    class Twins(Engine):
        def expand(self, request: ExpandRequest) -> Expansion:
            texts = ["\nx = 1 # a<end_of_step>", "\nx = 1\n<end_of_step>", "\nx = 2<end_of_step>"]
            return Expansion(
                request.id, tuple(Candidate("<code>" + one, (1,) * 4) for one in texts)
            )

    search = Search(SearchConfig(candidates=3, rollouts=1, max_depth=1, distinct_programs=True))
    search.add(problems(1))
    (tree,) = drive(search, Twins())
    assert isinstance(tree, Tree)
    assert [(node.draws, node.spent) for node in tree.nodes[1:3]] == [(2, 4), (1, 12)]


def test_widening_needs_neither_scores_nor_known_answers() -> None:
    config = SearchConfig(widening=1.0, use_scores=False)
    assert config.nodes_per_tree == 1 + config.rollouts * (config.max_depth + 1)
    tight = SearchConfig.preset("widening", rollouts=1_000_000, max_tokens=1000)
    assert tight.nodes_per_tree == 1001
    preset = SearchConfig.preset("widening")
    assert preset.widening and preset.distinct_programs


def test_a_request_tells_what_was_drawn_at_its_node() -> None:
    class Remembering(Engine):
        def __init__(self) -> None:
            self.drawn: dict[int, list[tuple[Any, ...]]] = {}

        def expand(self, request: ExpandRequest) -> Expansion:
            number = request.first_candidate
            self.drawn.setdefault(request.node, []).append(request.drawn)
            text = rf"<answer>\boxed{{{number % 2}}}<end_of_answer>"
            return Expansion(request.id, (Candidate(text, (number, 7), (-0.5, -1.0)),))

    engine = Remembering()
    tree = tree_of(engine, widening=2.0, rollouts=3, without_repetition=True)
    assert engine.drawn[0] == [tuple(((i, 7), (-0.5, -1.0)) for i in range(k)) for k in range(3)]
    assert [node.draws for node in tree.nodes[1:]] == [2, 1]
    for other in ({"temperature": 0.5}, {"top_k": 5}, {"top_p": 0.5}, {"widening": 0.0}):
        with pytest.raises(ConfigError, match="without_repetition needs"):
            SearchConfig.from_dict({"widening": 1.0, "without_repetition": True, **other})


def test_the_first_candidate_of_a_node_may_be_the_most_likely_one() -> None:
    class Remembering(Engine):
        def __init__(self) -> None:
            self.asked: list[tuple[int, int, float]] = []

        def expand(self, request: ExpandRequest) -> Expansion:
            number, temperature = request.first_candidate, request.sampling.temperature
            self.asked.append((request.node, number, temperature))
            end = rf"<answer>\boxed{{{number}}}<end_of_answer>"
            text = f"step {number}" if request.node == 0 else end
            return Expansion(request.id, (Candidate(text, (number, 7)),))

    engine = Remembering()
    tree = tree_of(engine, widening=2.0, rollouts=3, temperature=0.7, greedy_first=True)
    assert {number for _, number, _ in engine.asked} > {0}
    assert all(how == (0.7 if number else 0.0) for _, number, how in engine.asked)
    assert len(tree.nodes) == 1 + len(engine.asked)
    with pytest.raises(ConfigError, match="greedy_first needs widening"):
        SearchConfig.from_dict({"greedy_first": True})


class Uneven:
    """Writes answers in turn at every node, each with half of the probability that is left."""

    def __init__(self, telling: bool = True) -> None:
        self.telling, self.asked = telling, 0

    def expand(self, request: ExpandRequest) -> Expansion:
        self.asked += 1
        number = request.first_candidate
        text = f"step {number}" if request.node == 0 else rf"<answer>\boxed{{{number}}}"
        logprobs = (-0.25, (number + 1) * log(0.5) + 0.25) if self.telling else ()
        return Expansion(request.id, (Candidate(text, (number, 7), logprobs),))

    run, grade, score = Engine.run, Engine.grade, Engine.score


@pytest.mark.parametrize(("coverage", "draws"), [(0.49, 1), (0.7, 2), (0.9, 4)])
@pytest.mark.parametrize("leaves_per_tree", [1, 3])
def test_nothing_is_drawn_where_enough_of_the_probability_is_covered(
    coverage: float, draws: int, leaves_per_tree: int
) -> None:
    engine = Uneven()
    tree = tree_of(
        engine,
        widening=4.0,
        rollouts=200,
        coverage=coverage,
        max_depth=2,
        leaves_per_tree=leaves_per_tree,
    )
    children = Counter(node.parent for node in tree.nodes[1:])
    assert children[0] == draws
    assert set(children.values()) == {draws} and len(children) == 1 + draws
    assert engine.asked == draws + draws**2 and tree.ended == "exhausted"
    assert {node.draws for node in tree.nodes[1:]} == {1}


def test_the_same_candidate_covers_its_probability_once() -> None:
    class Same(Uneven):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(request.id, (Candidate("<answer>\\boxed{1}", (5,), (log(0.4),)),))

    tree = tree_of(Same(), widening=4.0, rollouts=9, candidates=7, coverage=0.5)
    assert [node.draws for node in tree.nodes[1:]] == [7]


def test_a_log_probability_above_0_covers_all_and_ends_no_search() -> None:
    class Absurd(Uneven):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(request.id, (Candidate("<answer>\\boxed{1}", (5,), (2000.0,)),))

    tree = tree_of(Absurd(), widening=4.0, rollouts=9, candidates=7, coverage=0.5)
    assert [node.draws for node in tree.nodes[1:]] == [1] and tree.ended == "exhausted"


def test_coverage_needs_log_probabilities_and_widening() -> None:
    tree = tree_of(Uneven(telling=False), widening=4.0, rollouts=6, coverage=0.5, max_depth=2)
    assert len(tree.nodes) > 3
    with pytest.raises(ConfigError, match="coverage needs widening"):
        SearchConfig.from_dict({"coverage": 0.9})
    with pytest.raises(ConfigError, match="coverage"):
        SearchConfig.from_dict({"widening": 1.0, "coverage": 1.5})
