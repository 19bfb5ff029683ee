"""Several searches of a problem as one tree."""

from dataclasses import replace

import pytest
from data_trees import GOLDEN, make_tree, shown

from rstar_fast.data import merge, merged, pair_groups
from rstar_fast.errors import DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Tree


def test_searches_of_one_problem_become_one_tree() -> None:
    first = make_tree(
        ("a ", 0.5, ("a1 ", 1.0, ("right", 1.0, True))), ("b ", -1.0, "error"), seed=1
    )
    second = make_tree(
        ("c ", 0.25, ("right", 1.0, True)),
        ("a ", -0.5, ("a2 ", -1.0, ("wrong", -1.0, False))),
        seed=2,
    )
    first.nodes[1].visits = 3
    first.counts, second.counts = {"expansions": 2}, {"expansions": 3}
    tree = merge([first, second])
    assert [(node.text, node.parent, node.depth) for node in tree.nodes] == [
        ("", -1, 0),
        ("a ", 0, 1),
        ("b ", 0, 1),
        ("c ", 0, 1),
        ("a1 ", 1, 2),
        ("a2 ", 1, 2),
        ("right", 3, 2),
        ("right", 4, 3),
        ("wrong", 5, 3),
    ]
    assert [node.id for node in tree.nodes] == list(range(9))
    assert (tree.nodes[1].visits, tree.nodes[1].q) == (4, 0.25)
    assert (tree.seed, tree.counts) == (1, {"expansions": 5})
    assert first.nodes[1].visits == 3
    # Neither search has this pair.
    assert shown(pair_groups(tree))[0] == ("step", "a ", [("a1 ", "a2 ")], 1.0)
    assert [
        len(group.pairs)
        for one in (first, second)
        for group in pair_groups(one)
        if group.kind == "step"
    ] == [1]


def test_merging_keeps_a_lone_tree_and_refuses_mixed_ones() -> None:
    assert merge([GOLDEN]) == GOLDEN
    other = Tree(Problem("p", "How much?", ("5",)), GOLDEN.nodes)
    with pytest.raises(DataError, match="one problem"):
        merged([GOLDEN, other])
    with pytest.raises(DataError, match="got none"):
        merge([])
    trees = merged([GOLDEN, Tree(Problem("q", "x", ("5",)), GOLDEN.nodes), GOLDEN])
    assert [tree.problem.id for tree in trees] == ["p", "q"]


def test_copies_of_a_problem_are_searches_of_it() -> None:
    copies = [
        Tree(replace(GOLDEN.problem, copy=number), GOLDEN.nodes, GOLDEN.seed) for number in (0, 1)
    ]
    (tree,) = merged(copies)
    assert tree.problem == GOLDEN.problem
    assert len(tree.nodes) == len(GOLDEN.nodes)
    assert [node.visits for node in tree.nodes] == [2] * len(tree.nodes)
    assert [copy.problem.copy for copy in copies] == [0, 1]
