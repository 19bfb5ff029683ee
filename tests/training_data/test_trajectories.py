"""Trajectories of hand-made trees, which of them the policy learns, and how hard a problem is."""

import pytest
from data_trees import GOLDEN, PROBLEM, make_tree

from rstar_fast.data import (
    SearchAgain,
    all_pair_groups,
    best_solutions,
    difficulty,
    searches_again,
    sft_rows,
    share_correct,
    trajectories,
    trajectory_rows,
    without_doubtful,
)
from rstar_fast.errors import ConfigError, DataError
from rstar_fast.problems import Problem
from rstar_fast.prompts import finetuned_prompt


def test_trajectories_carry_their_statistics() -> None:
    found = {one.text: one for one in trajectories(GOLDEN)}
    assert list(found) == [
        "A A1 right by A1",
        "A A2 wrong by A2",
        "A A3 wrong by A3",
        "B B1 wrong by B1",
        "C C1 right by C1",
        "C C2 right by C2",
    ]
    one = found["A A2 wrong by A2"]
    assert (one.steps, one.qs) == (("A ", "A2 ", "wrong by A2"), (0.5, 0.2, -1.0))
    assert one.mean_q == pytest.approx(-0.1)
    assert (one.min_q, one.answer, one.correct, one.failed_code) == (-1.0, "6", False, False)
    assert found["C C1 right by C1"].failed_code


def test_the_policy_learns_from_the_two_best_right_trajectories_without_a_failed_program() -> None:
    assert [one.text for one in best_solutions(GOLDEN)] == ["C C2 right by C2", "A A1 right by A1"]
    assert [one.text for one in best_solutions(GOLDEN, 1)] == ["C C2 right by C2"]
    rows = sft_rows([GOLDEN])
    assert rows[0] == {
        "id": "p",
        "prompt": finetuned_prompt("How many?"),
        "completion": "C C2 right by C2",
        "mean_q": pytest.approx(2.6 / 3),
        "min_q": 0.7,
    }
    assert [row["completion"] for row in rows] == ["C C2 right by C2", "A A1 right by A1"]


def test_ties_of_the_mean_go_to_the_higher_minimum_then_to_the_earlier() -> None:
    tree = make_tree(
        ("a ", 0.75, ("first", 0.25, True)),
        ("b ", 0.5, ("second", 0.5, True)),
        ("c ", 0.5, ("third", 0.5, True)),
    )
    assert [one.text for one in best_solutions(tree, 3)] == ["b second", "c third", "a first"]


def test_a_repeated_solution_counts_once() -> None:
    tree = make_tree(
        ("a ", 0.9, ("x", 1.0, True)), ("a ", 0.8, ("x", 1.0, True)), ("b ", 0.1, ("x", 1.0, True))
    )
    assert [one.text for one in best_solutions(tree)] == ["a x", "b x"]
    assert best_solutions(tree)[0].qs == (0.9, 1.0)


def test_difficulty_and_what_it_asks_for() -> None:
    easy, hard = make_tree(("a", 1.0, True)), make_tree(("a", -1.0, False))
    nothing = make_tree(("a", -1.0, "error"))
    assert [difficulty(tree) for tree in (easy, GOLDEN, hard, nothing)] == [
        "easy",
        "medium",
        "hard",
        "hard",
    ]
    assert [share_correct(tree) for tree in (easy, GOLDEN, hard, nothing)] == [1.0, 0.5, 0.0, 0.0]
    assert searches_again(2) == (SearchAgain(("hard", "medium"), 16),)
    assert [again.rollouts for again in searches_again(4)] == [64, 128]
    with pytest.raises(ConfigError, match="difficulties: expected one of easy, medium, hard, got"):
        SearchAgain(("hrad",), 16)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"rollouts: expected an integer in 1\.\.1000000, got 0"):
        SearchAgain(("hard",), 0)
    doubtful = make_tree(
        ("a", 1.0, True), ("b", -1.0, False), ("c", -1.0, False), problem=Problem("s", "?", ("5",))
    )
    assert without_doubtful([GOLDEN, doubtful], {"p", "s"}) == [GOLDEN]
    assert without_doubtful([GOLDEN, doubtful], {"p"}) == [GOLDEN, doubtful]


def test_an_answer_nobody_graded_is_no_data() -> None:
    tree = make_tree(("a", 1.0, True), problem=PROBLEM)
    tree.nodes[1].correct = None
    for use in (sft_rows, all_pair_groups, trajectory_rows):
        with pytest.raises(DataError, match="node 1: expected a graded answer, got '5'"):
            use([tree])
