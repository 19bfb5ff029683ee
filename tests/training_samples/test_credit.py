"""Each rule of credit by hand, on a tree of five leaves."""

from math import sqrt

import pytest

from rstar_fast.errors import ConfigError, DataError
from rstar_fast.problems import Problem
from rstar_fast.training_samples import Credit, TreeValues, choose_leaves
from rstar_fast.training_samples.credit import standardized, step_credit
from rstar_fast.tree import Node, Tree

LEAVES = [3, 5, 6, 7]


def small() -> Tree:
    """Two first steps, the second drawn twice. Below them are two and three leaves, one unsure.

    0 - 1 - 3 right, 4 unsure
      - 2 - 5 wrong, 6 right, 7 without an answer
    """
    nodes = [Node(0, -1, 0, q=0.1)]
    for i, (parent, step) in enumerate([(0, "a"), (0, "b"), (1, "c"), (1, "d"), (2, "e")], 1):
        nodes.append(Node(i, parent, nodes[parent].depth + 1, step, q=i / 10, visits=i))
    nodes += [Node(6, 2, 2, "f", q=0.6, visits=9), Node(7, 2, 2, "g", q=0.7, visits=2)]
    nodes[2].draws = 2
    for i, right in ((3, True), (4, False), (5, False), (6, True)):
        nodes[i].end, nodes[i].answer, nodes[i].correct = "answer", "1", right
    nodes[4].unsure = True
    nodes[7].end = "errors"
    return Tree(Problem("p", "q", ("1",)), nodes)


def credit(rule: Credit) -> list[list[float]]:
    tree = small()
    return step_credit(tree, LEAVES, rule, TreeValues.of(tree))


def test_values_count_draws_and_leave_out_what_is_unsure() -> None:
    values = TreeValues.of(small())
    assert values.rewards == {3: 1.0, 5: 0.0, 6: 1.0, 7: 0.0}
    third = pytest.approx(1 / 3)
    assert values.values[2] == third and values.leaf_means[2] == third
    assert values.values[1] == 1.0 and values.values[0] == pytest.approx((1 + 2 / 3) / 3)
    assert values.leaf_means[0] == 0.5
    assert 4 not in values.values
    shares = [values.shares[leaf] for leaf in LEAVES]
    assert shares == pytest.approx([1 / 3, 2 / 9, 2 / 9, 2 / 9]) and sum(shares) == pytest.approx(1)


def test_the_baseline_of_a_step_is_of_other_draws() -> None:
    values = TreeValues.of(small())
    # Node 1 has the two draws of node 2 beside it, and one of these has node 1 and the other one.
    assert values.baselines[1] == pytest.approx(1 / 3)
    assert values.baselines[2] == pytest.approx((1 + 1 / 3) / 2)
    # Node 3 has no graded sibling, so what is beside node 1 tells.
    assert values.baselines[3] == pytest.approx(1 / 3)
    assert values.baselines[6] == 0.0


def test_rules_that_give_each_step_the_leafs_credit() -> None:
    assert credit("outcome") == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    one = 0.5 / sqrt(1 / 3)
    assert credit("group") == [
        pytest.approx([side, side], abs=1e-5) for side in (one, -one, one, -one)
    ]
    below = standardized([0.0, 1.0, 0.0])
    # The first leaf is alone below its first step, and keeps its reward there.
    wanted = [one + 1.0, -one + below[0], one + below[1], -one + below[2]]
    assert credit("tree_grpo") == [pytest.approx([side, side], abs=1e-5) for side in wanted]


def test_rules_by_the_step() -> None:
    assert credit("q") == [[0.1, 0.3], [0.2, 0.5], [0.2, 0.6], [0.2, 0.7]]
    assert credit("q_gain")[0] == pytest.approx([0.0, 0.2])
    assert credit("siblings")[2] == pytest.approx([1 / 3 - 2 / 3, 1.0])
    assert credit("siblings")[0] == pytest.approx([1 - 1 / 3, 1 - 1 / 3])
    first = ((1 / 3 - 0.5) + (1 / 3 - 0.5)) / sqrt(3)
    assert credit("tree_rl")[2] == pytest.approx([first, 0.5 + (1 - 1 / 3)])
    one = 0.5 / sqrt(1 / 3)
    assert credit("tree_adv")[2] == pytest.approx([-one / 3, one], abs=1e-5)


def test_chains_have_the_leave_one_out_baseline_of_independent_samples() -> None:
    nodes = [Node(0, -1, 0)]
    for i, right in enumerate((True, True, False, True)):
        nodes += [Node(2 * i + 1, 0, 1, f"s{i}"), Node(2 * i + 2, 2 * i + 1, 2, f"t{i}")]
        nodes[-1].end, nodes[-1].answer, nodes[-1].correct = "answer", "1", right
    tree = Tree(Problem("p", "q", ("1",)), nodes)
    found = step_credit(tree, [2, 4, 6, 8], "siblings", TreeValues.of(tree))
    rloo = [1 - 2 / 3, 1 - 2 / 3, 0 - 1, 1 - 2 / 3]
    assert found == [pytest.approx([one, one]) for one in rloo]


def test_equal_rewards_give_no_credit_and_no_error() -> None:
    assert standardized([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]
    assert standardized([1.0]) == [1.0] and standardized([]) == []


def test_leaves_are_balanced_distinct_and_by_visits() -> None:
    tree = small()
    assert choose_leaves(tree, 2) == [5, 6]
    assert choose_leaves(tree, 2, balanced=False) == [5, 6]
    tree.nodes[5].visits = 1
    assert choose_leaves(tree, 1) == [6]
    assert choose_leaves(tree, 2, balanced=False) == [3, 6]
    assert choose_leaves(tree, 2) == [6, 7]
    assert choose_leaves(tree, 4) == choose_leaves(tree, 99) == LEAVES
    # The third right leaf has the program of the first, and comes after all others.
    tree.nodes.append(Node(8, 2, 2, "(f)  # again", end="answer", answer="1", correct=True))
    tree.nodes[8].visits = 5
    assert choose_leaves(tree, 3) == [3, 6, 7]
    assert choose_leaves(tree, 5) == [3, 5, 6, 7, 8]
    with pytest.raises(ConfigError, match="count: expected an integer of at least 1"):
        choose_leaves(tree, 0)
    tree.nodes[3].correct = None
    with pytest.raises(DataError, match="graded answer"):
        choose_leaves(tree, 1)


def test_one_side_fills_what_the_other_lacks() -> None:
    tree = small()
    for node in tree.nodes:
        node.correct = True if node.correct is False else node.correct
    tree.nodes[7].end = ""
    assert choose_leaves(tree, 3) == [3, 5, 6]
    for node in tree.nodes:
        node.correct = False if node.correct else node.correct
    assert choose_leaves(tree, 2) == [5, 6]
