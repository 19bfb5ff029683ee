"""Evaluations over scripted and real engines."""

from pathlib import Path

import pytest
import scripted_engines
from data_trees import PROBLEM, make_tree
from scripted_cli import Runner, Verifier

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import (
    independent,
    path_samples,
    rescored,
    search_samples,
    search_timeline,
    selections,
    solve,
)
from rstar_fast.policy import Candidate, ExpandRequest, FunctionPolicy
from rstar_fast.ppm import ScriptedScorer
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.store import RunFolder

PROBLEMS = [Problem(f"p{i}", f"question {i}", ("7",)) for i in range(3)]


def write(request: ExpandRequest) -> list[Candidate]:
    """Write one step of code, then the answers 7, 8, ...

    They depend on the copy of the problem and on the number of the candidate.
    """
    copy = int(request.problem_id.rpartition("#")[2])
    if "fail" in request.question:
        return []
    if request.path:
        return [
            Candidate(f"\n<answer>\\boxed{{{7 + copy + i}}}", (1, 2), (-0.5, -0.5))
            for i in range(request.num_candidates)
        ]
    return [
        Candidate(f"<code>\nprint(7)  # {i}\n<end_of_code>", (3,), (-1.0,))
        for i in range(request.num_candidates)
    ]


def searcher(config: SearchConfig) -> Searcher:
    policy = FunctionPolicy(lambda requests: [write(request) for request in requests])
    scorer = (
        ScriptedScorer(lambda question, solution: 0.9 if "{8}" in solution else 0.1)
        if config.use_scores
        else None
    )
    return Searcher(policy, config, scorer, runner=Runner(), verifier=Verifier())


def test_searches_of_a_problem_are_its_own() -> None:
    config = SearchConfig.preset("fast", candidates=2, rollouts=2)
    with searcher(config) as engine:
        trees = solve(engine, PROBLEMS, searches=3)
    assert list(trees) == ["p0", "p1", "p2"]
    for problem, of_one in zip(PROBLEMS, trees.values(), strict=True):
        assert [tree.problem for tree in of_one] == [problem] * 3
        samples = search_samples(of_one)
        # The third copy has no 8: the first of its answers, all scored alike.
        assert [one.answer for one in samples] == ["8", "8", "9"]
        assert [one.correct for one in samples] == [False, False, False]
        assert [one.score for one in samples] == [0.9, 0.9, 0.1]
        assert [one.tokens for one in samples] == [
            tree.counts["generated_tokens"] for tree in of_one
        ]
    assert {one.name for one in selections({p: search_samples(ts) for p, ts in trees.items()})} >= {
        "majority",
        "best",
        "likeliest",
    }


def test_paths_are_samples() -> None:
    config = SearchConfig(strategy="best_of_n", candidates=4, use_scores=False)
    with searcher(config) as engine:
        trees = solve(engine, PROBLEMS)
    for (tree,) in trees.values():
        samples = path_samples(tree)
        assert [(one.answer, one.correct, one.tokens, one.score) for one in samples] == [
            ("7", True, 3, None)
        ] * 4
        assert samples[0].logprob == pytest.approx(-2 / 3)


def test_a_problem_that_fails_has_no_trees() -> None:
    config = SearchConfig.preset("greedy")
    problems = [*PROBLEMS, Problem("bad", "fail", ("7",))]
    with searcher(config) as engine:
        trees = solve(engine, problems)
    assert {problem: len(of_one) for problem, of_one in trees.items()} == {
        "p0": 1,
        "p1": 1,
        "p2": 1,
        "bad": 0,
    }
    solved = selections({problem: search_samples(of_one) for problem, of_one in trees.items()})[0]
    assert solved.solved == (True, True, True, False)


def test_an_evaluation_goes_on_from_its_folder(tmp_path: Path) -> None:
    config = SearchConfig.preset("fast", candidates=2, rollouts=2)
    with searcher(config) as engine, RunFolder.open(tmp_path, config.to_dict()) as folder:
        first = solve(engine, PROBLEMS[:2], 2, folder)
        asked = engine.stats.resources["policy"].requests
        assert solve(engine, PROBLEMS[:2], 2, folder) == first
        assert engine.stats.resources["policy"].requests == asked
        more = solve(engine, PROBLEMS, 3, folder)
        assert [tree.text(tree.best().id) for tree in more["p1"][:2]] == [
            tree.text(tree.best().id) for tree in first["p1"]
        ]
        assert [len(of_one) for of_one in more.values()] == [3, 3, 3]
        assert solve(engine, PROBLEMS[:2], 2, folder) == first


def test_problems_are_searched_until_their_tokens_are_spent(tmp_path: Path) -> None:
    config = SearchConfig(strategy="best_of_n", candidates=2, use_scores=False)
    # A drawing takes 6 tokens.
    tokens = {"p0": 13, "p1": 6, "bad": 100}
    problems = [*PROBLEMS, Problem("bad", "fail", ("7",))]
    with searcher(config) as engine:
        trees = solve(engine, problems, tokens=tokens)
        assert {key: len(of_one) for key, of_one in trees.items()} == {
            "p0": 3,
            "p1": 1,
            "p2": 1,
            "bad": 0,
        }
        answers = [one.answer for tree in trees["p0"] for one in path_samples(tree)]
        assert answers == ["7", "7", "8", "8", "9", "9"]
        with RunFolder.open(tmp_path, config.to_dict()) as folder:
            first = solve(engine, PROBLEMS, 1, folder, {"p0": 7})["p0"]
            assert [tree.nodes for tree in first] == [tree.nodes for tree in trees["p0"][:2]]
            asked = engine.stats.resources["policy"].requests
            more = solve(engine, PROBLEMS, 1, folder, tokens)
            assert [tree.problem for tree in more["p0"]] == [PROBLEMS[0]] * 3
            assert engine.stats.resources["policy"].requests == asked + 3


def test_independent_samples_leave_the_ways_of_a_search_aside() -> None:
    widening = SearchConfig(
        widening=2.0, distinct_programs=True, temperature=0.7, max_depth=5, c=0.3, seed=3
    )
    plain = SearchConfig(temperature=0.7, max_depth=5, c=0.3, seed=3)
    assert independent(widening, 16) == independent(plain, 16)
    assert independent(plain, 16).strategy == "best_of_n"
    assert independent(plain, 16).temperature == 0.7
    once = SearchConfig(widening=1.0, without_repetition=True)
    assert independent(once, 16) == independent(SearchConfig(), 16)


def test_a_search_by_widening_has_a_timeline_within_its_tokens() -> None:
    config = SearchConfig(candidates=4, rollouts=6, widening=1.0)
    with searcher(config) as engine:
        (tree,) = solve(engine, PROBLEMS[:1])["p0"]
    timeline = search_timeline([tree])
    tokens = [one.tokens for one in timeline]
    assert tokens == sorted(tokens) and tokens[0] > 0
    assert tokens[-1] <= tree.counts["generated_tokens"]
    assert len(timeline) == len(tree.finals())
    assert sum(one.sample.weight for one in timeline) <= 1.0


def test_what_cannot_be_evaluated() -> None:
    config = SearchConfig.preset("greedy")
    with searcher(config) as engine:
        with pytest.raises(ConfigError, match="'x': expected an accepted answer"):
            solve(engine, [Problem("x", "?")])
        with pytest.raises(ConfigError, match="searches"):
            solve(engine, PROBLEMS, 0)


def test_a_printed_number_counts_where_it_is_asked_for() -> None:
    tree = make_tree(("a ", 0.0, ("b", 0.0)), ("c ", 0.0, ("7", 0.0, False)), problem=PROBLEM)
    tree.nodes[3].suffix, tree.nodes[3].observation = "\n<output>5<end_of_output>", "5\n"
    assert [(one.answer, one.correct) for one in path_samples(tree)] == [("", False), ("6", False)]
    assert [
        (one.answer, one.correct) for one in path_samples(tree, scripted_engines.Verifier())
    ] == [("5", True), ("6", False)]
    only_code = make_tree(("a ", 0.0, ("b", 0.0)), problem=PROBLEM)
    assert search_samples([only_code], scripted_engines.Verifier())[0].answer == ""
    only_code.nodes[2].suffix, only_code.nodes[2].observation = "\n<output>5<end_of_output>", "5\n"
    assert search_samples([only_code], scripted_engines.Verifier())[0].correct
    assert not search_samples([only_code])[0].correct


def test_another_model_scores_the_same_samples() -> None:
    from rstar_fast.embedded import ppm_path
    from rstar_fast.ppm import PPM, PackedScorer

    trees = [make_tree(("a ", 0.0, ("5", 0.0, True)), ("c ", 0.0, ("7", 0.0, False)))]
    for node in trees[0].nodes[1:]:
        node.token_ids, node.logprobs = (7,), (-0.5 * node.id,)
    (again,) = rescored(trees, PackedScorer(PPM.from_pretrained(ppm_path())))
    assert [node.score is not None and -1 <= node.score <= 1 for node in again.nodes] == [True] * 5
    assert again.nodes[3].score != again.nodes[4].score
    assert all(node.score is None for node in trees[0].nodes)
    assert [one.score for one in path_samples(again)] == [
        again.nodes[3].score,
        again.nodes[4].score,
    ]


def test_the_folder_of_an_evaluation_keeps_copies(tmp_path: Path) -> None:
    config = SearchConfig.preset("fast", candidates=2, rollouts=2)
    with searcher(config) as engine, RunFolder.open(tmp_path, config.to_dict()) as folder:
        trees = solve(engine, PROBLEMS[:2], 2, folder)
        assert folder.done == {"p0#0", "p0#1", "p1#0", "p1#1"}
        stored = {tree.problem.key: tree for tree in folder.trees()}
    for problem_id, of_one in trees.items():
        for number, tree in enumerate(of_one):
            assert tree.problem.copy is None
            assert stored[f"{problem_id}#{number}"].nodes == tree.nodes
