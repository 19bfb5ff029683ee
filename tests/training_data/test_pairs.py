"""Preference pairs of hand-made trees, by every rule."""

import pytest
from data_trees import GOLDEN, make_tree, shown
from hypothesis import given
from hypothesis import strategies as st

from rstar_fast.data import PAPER, RELEASED, PairRules, pair_groups
from rstar_fast.data.edit_distance import at_least
from rstar_fast.errors import ConfigError
from rstar_fast.tree import Tree


def test_pairs_by_the_papers_rules() -> None:
    assert shown(pair_groups(GOLDEN)) == [
        # A leads to both: better than B, worse than C.
        ("step", "", [("C ", "B "), ("C ", "A "), ("A ", "B ")], 0.25),
        ("step", "A ", [("A1 ", "A3 "), ("A1 ", "A2 ")], 0.5),
        (
            "trajectory",
            "",
            [
                ("C C1 right by C1", "B B1 wrong by B1"),
                ("C C1 right by C1", "A A3 wrong by A3"),
                ("C C2 right by C2", "B B1 wrong by B1"),
                ("C C2 right by C2", "A A3 wrong by A3"),
            ],
            0.25,
        ),
    ]
    step = pair_groups(GOLDEN)[1]
    assert (step.chosen_q, step.rejected_q) == ((0.8,), (-0.4, 0.2))


def test_final_answers_are_paired_as_trajectories_or_as_siblings() -> None:
    tree = make_tree(("a ", 0.2, ("right", 1.0, True), ("wrong", -1.0, False)))
    assert shown(pair_groups(tree)) == [("trajectory", "", [("a right", "a wrong")], 1.0)]
    siblings = PairRules(final_step="siblings")
    assert shown(pair_groups(tree, siblings)) == [("step", "a ", [("right", "wrong")], 1.0)]


def wide_tree() -> Tree:
    """One step that is right, five that are wrong."""
    wrong = [(f"bad step number {i} ", -0.1 * i, ("wrong", -1.0, False)) for i in range(5)]
    return make_tree(("good ", 0.5, ("right", 1.0, True)), *wrong)


def test_one_against_more() -> None:
    rules = PairRules(against_one=4)
    assert shown(pair_groups(wide_tree(), rules))[0] == (
        "step",
        "",
        [("good ", f"bad step number {i} ") for i in (4, 3, 2, 1)],
        0.25,
    )
    assert len(pair_groups(wide_tree())[0].pairs) == 2
    mirrored = make_tree(
        *[(f"good {i} ", 0.1 * i, ("right", 1.0, True)) for i in range(5)],
        ("bad ", -0.5, ("wrong", -1.0, False)),
    )
    assert shown(pair_groups(mirrored, rules))[0][2] == [
        (f"good {i} ", "bad ") for i in (4, 3, 2, 1)
    ]
    assert len(pair_groups(GOLDEN, rules)[0].pairs) == 3, (
        "two on both sides: four are for one against one side only"
    )


def test_margin_and_edit_distance() -> None:
    assert shown(pair_groups(GOLDEN, PairRules(min_margin=0.75)))[0] == (
        "step",
        "",
        [("C ", "B "), ("A ", "B ")],
        0.25,
    )
    assert shown(pair_groups(GOLDEN, PairRules(min_margin=1.25)))[:1] == [
        ("step", "", [("C ", "B ")], 0.25)
    ]
    rules = PairRules(min_edit_distance=17, against_one=4)
    assert len(pair_groups(wide_tree(), rules)[0].pairs) == 4
    rules = PairRules(min_edit_distance=18, against_one=4)
    assert [group.kind for group in pair_groups(wide_tree(), rules)] == ["trajectory"]


def test_the_released_rules() -> None:
    assert PairRules(2, 4, 0.5, 20, "siblings", by_program=False) == RELEASED
    assert PairRules(2, 2, 0.0, 0, "trajectories", 2, by_program=True) == PAPER
    long = make_tree(
        ("a step with a good many characters ", 0.6, ("x", 1.0, True)),
        ("and something quite different ", 0.0, ("y", -1.0, False)),
        ("a step with a good many characterS ", -0.5, ("z", -1.0, False)),
    )
    assert shown(pair_groups(long, RELEASED)) == [
        (
            "step",
            "",
            [("a step with a good many characters ", "and something quite different ")],
            0.5,
        )
    ]
    with pytest.raises(ConfigError, match="per_side"):
        PairRules(per_side=3)
    with pytest.raises(ConfigError, match="final_per_side"):
        PairRules(final_per_side=0)
    with pytest.raises(ConfigError, match="by_program"):
        PairRules(by_program=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="min_margin"):
        PairRules(min_margin=-0.1)
    with pytest.raises(ConfigError, match="final_step"):
        PairRules(final_step="none")  # type: ignore[arg-type]


def test_the_same_program_is_never_a_pair() -> None:
    tree = make_tree(
        ("\n# Add them\nx = 1 + 2\n<end_of_step>", 0.5, ("right", 1.0, True)),
        ("\n# Sum up\nx = 1+2\n<end_of_step>", -0.5, ("wrong", -1.0, False)),
        ("\n# Take away\nx = 1 - 2\n<end_of_step>", -0.9, ("wrong too", -1.0, False)),
    )
    (step, trajectory) = pair_groups(tree)
    # The two that add are one step, which leads to right and wrong answers.
    assert [steps[0].split()[1] for steps in step.chosen] == ["Add"]
    assert [steps[0].split()[1] for steps in step.rejected] == ["Take", "Add"]
    assert (step.pairs, step.chosen_q, step.weight) == (((0, 0),), (0.0,), 0.5)
    assert [steps[-1] for steps in trajectory.rejected] == ["wrong too", "wrong"]
    texts = pair_groups(tree, PairRules(by_program=False))[0]
    assert [steps[0].split()[1] for steps in texts.rejected] == ["Take", "Sum"]
    assert texts.pairs == ((0, 0), (0, 1))


def test_merged_siblings_have_the_q_of_all_their_visits() -> None:
    tree = make_tree(
        ("\nx = 1 # a\n<end_of_step>", 1.0, ("right", 1.0, True)),
        ("\nx = 1 # b\n<end_of_step>", 0.2, ("right", 1.0, True)),
        ("\nx = 2\n<end_of_step>", -1.0, ("wrong", -1.0, False)),
    )
    tree.nodes[2].visits = 3
    tree.nodes[2].observation = "what x is"
    group = pair_groups(tree)[0]
    assert group.chosen == (("\nx = 1 # b\n<end_of_step>",),)
    assert list(group.chosen_q) == pytest.approx([0.4])
    assert (group.chosen_observations, group.prefix_observations) == ((("what x is",),), ())


def test_trajectories_with_the_same_programs_and_answer_are_one() -> None:
    tree = make_tree(
        ("\nx = 1 # a\n<end_of_step>", 0.9, ("It is 5", 0.9, True), ("It is 6", -1.0, False)),
        ("\nx = 1 # b\n<end_of_step>", 0.1, ("It is 5", 0.1, True), ("It is 6", -1.0, False)),
    )
    (group,) = pair_groups(tree)
    assert (group.kind, len(group.chosen), len(group.rejected)) == ("trajectory", 1, 1)
    assert list(group.chosen_q) == pytest.approx([0.5])
    assert len(pair_groups(tree, PairRules(by_program=False))[-1].chosen) == 2


def test_more_trajectories_than_siblings_weigh_no_more() -> None:
    right = [(f"right {i} ", 0.1 * i, (f"answer {i}", 1.0, True)) for i in range(9)]
    wrong = [(f"wrong {i} ", -0.1 * i, (f"answer {i}", -1.0, False)) for i in range(9)]
    step, trajectory = pair_groups(make_tree(*right, *wrong), PairRules(final_per_side=8))
    assert (len(step.pairs), len(trajectory.pairs)) == (4, 64)
    assert len(step.pairs) * step.weight == len(trajectory.pairs) * trajectory.weight == 1
    one_right = make_tree(*right[:1], *wrong)
    assert len(pair_groups(one_right, PairRules(against_one=4))[-1].pairs) == 4


def test_equal_q_is_no_preference() -> None:
    tree = make_tree(("a ", 0.0, ("x", 1.0, True)), ("b ", 0.0, ("y", -1.0, False)))
    assert [group.kind for group in pair_groups(tree)] == ["trajectory"]


@given(st.text("ab", max_size=12), st.text("ab", max_size=12), st.integers(0, 14))
def test_edit_distance_against_the_plain_recursion(first: str, second: str, edits: int) -> None:
    row = list(range(len(second) + 1))
    for i, char in enumerate(first, 1):
        before, row = row, [i]
        for j, other in enumerate(second, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (char != other)))
    assert at_least(first, second, edits) == (row[-1] >= edits)
