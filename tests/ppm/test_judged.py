"""A scorer of steps with a judge of final answers."""

import numpy as np
import pytest
from ppm_cases import make_policy

from rstar_fast.config import SearchConfig
from rstar_fast.evaluate import rescored
from rstar_fast.policy import ScriptedPolicy
from rstar_fast.ppm import PPM, JudgedScorer, PackedScorer, ScoreRequest
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.steps import Segment
from rstar_fast.tree import Node, Tree

STEP, ANSWER = "\nx = 2\n<end_of_step>", "\n<answer>It is $\\boxed{5}$.<end_of_answer>"


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> tuple[PackedScorer, PackedScorer]:
    folder = make_policy(tmp_path_factory.mktemp("policy"))
    one, other = (PackedScorer(PPM.from_policy(folder, "cpu", seed=seed)) for seed in (0, 1))
    return one, other


def request(number: int, *children: str) -> ScoreRequest:
    return ScoreRequest(
        number, "p", 1, "How many?", (Segment("<code>\nx = 1\n<end_of_step>"),), children
    )


def test_each_child_is_scored_by_its_model(scorers: tuple[PackedScorer, PackedScorer]) -> None:
    requests = [
        request(0, STEP, ANSWER, STEP + "#"),
        request(1, ANSWER),
        request(2, STEP),
        request(3),
    ]
    found = JudgedScorer(*scorers).score(requests)
    steps, finals = (scorer.score(requests) for scorer in scorers)
    assert [one.request_id for one in found] == [0, 1, 2, 3]
    is_final = [[False, True, False], [True], [False], []]
    for got, by_ppm, by_orm, final in zip(found, steps, finals, is_final, strict=True):
        assert got.values == pytest.approx(np.where(final, by_orm.values, by_ppm.values), abs=1e-6)


def test_a_search_may_be_guided_by_both(scorers: tuple[PackedScorer, PackedScorer]) -> None:
    first = "<code>\nprint(5)\n<end_of_code>"
    policy = ScriptedPolicy(
        lambda asked: [ANSWER] if asked.path else [first, "<code>\nprint(2 + 3)\n<end_of_code>"]
    )
    config = SearchConfig(candidates=2, rollouts=3, max_depth=4)
    with Searcher(policy, config, JudgedScorer(*scorers)) as searcher:
        (tree,) = searcher.search([Problem("p", "How many?", ("5",))])
    assert isinstance(tree, Tree) and len(tree.finals()) == 2
    by_ppm, by_orm = (scorer.score_trees([tree])[0].values for scorer in scorers)
    for node in tree.nodes[1:]:
        wanted = (by_orm if node.end == "answer" else by_ppm)[node.id]
        assert node.score == pytest.approx(wanted, abs=1e-5)


def test_an_error_of_either_is_the_requests(scorers: tuple[PackedScorer, PackedScorer]) -> None:
    long = "x" * 500
    for child in (long, long + ANSWER):
        (found,) = JudgedScorer(*scorers).score([request(0, STEP, ANSWER, child)])
        assert found.error and "tokens" in found.error and not len(found.values)


def test_trees_are_judged_alike(scorers: tuple[PackedScorer, PackedScorer]) -> None:
    nodes = [Node(0, -1, 0), Node(1, 0, 1, STEP), Node(2, 1, 2, ANSWER, end="answer", answer="5")]
    tree = Tree(Problem("p", "How many?"), nodes)
    judged, by_ppm, by_orm = (
        rescored([tree], scorer)[0] for scorer in (JudgedScorer(*scorers), *scorers)
    )
    assert [node.score for node in judged.nodes] == [
        by_ppm.nodes[0].score,
        by_ppm.nodes[1].score,
        by_orm.nodes[2].score,
    ]
