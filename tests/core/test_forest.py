"""What each call of the forest does and refuses. A refused call changes nothing."""

import math
import threading
from collections.abc import Callable

import numpy as np
import pytest
from forests import floats, ids, small_forest, state

from rstar_fast._core import NO_NODE, Forest
from rstar_fast.errors import CapacityError, ForestError, RStarError


@pytest.fixture
def forest() -> Forest:
    return small_forest()


def test_a_new_tree_is_an_unvisited_root() -> None:
    forest = Forest(3, 8)
    assert (forest.max_trees, forest.nodes_per_tree, forest.num_trees) == (3, 8, 0)
    trees = forest.new_trees(2)
    assert trees.tolist() == [0, 1] and trees.dtype == np.int32
    assert forest.root(1) == 8 and forest.num_nodes(1) == 1
    assert state(forest)[4:11] == [[0], [0.0], [0.0], [NO_NODE], [NO_NODE], [0], [False]]
    assert repr(forest) == "Forest(max_trees=3, nodes_per_tree=8, num_trees=2)"


def test_expand_makes_contiguous_children_in_the_trees_own_range() -> None:
    forest = Forest(2, 20)
    forest.new_trees(2)
    assert forest.expand(ids(20, 0), ids(2, 3)).tolist() == [21, 1]
    assert forest.expand(ids(2, 1), ids(1, 2)).tolist() == [4, 5]
    assert forest.parents(0).tolist() == [NO_NODE, 0, 0, 0, 2, 1, 1]
    assert forest.first_children(0).tolist() == [1, 5, 4, NO_NODE, NO_NODE, NO_NODE, NO_NODE]
    assert forest.num_children(0).tolist() == [3, 2, 1, 0, 0, 0, 0]
    assert forest.parents(1).tolist() == [NO_NODE, 20, 20]


def test_a_tree_can_be_filled_to_the_last_node() -> None:
    forest = Forest(1, 8192)
    forest.new_trees(1)
    assert forest.expand(ids(0), ids(8191)).tolist() == [1]
    assert forest.num_nodes(0) == 8192 and forest.num_children(0)[0] == 8191


def test_backup_reaches_the_root_and_add_does_not(forest: Forest) -> None:
    assert forest.visits(0).tolist() == [2, 1, 1, 0, 1, 0]
    assert forest.value_sums(0).tolist() == [0.5, 1.0, -0.5, 0.0, 1.0, 0.0]
    forest.add(ids(4, 4), floats(-1.0, 0.25))
    assert forest.visits(0).tolist() == [2, 1, 1, 0, 3, 0]
    assert forest.q(0).tolist() == [0.25, 1.0, -0.5, 0.0, 0.25 / 3, 0.0]


def test_backup_takes_repeats_in_order() -> None:
    forest = Forest(1, 2)
    forest.new_trees(1)
    values = floats(1e16, 1.0, -1e16)
    forest.backup(ids(0, 0, 0), values)
    assert forest.value_sums(0)[0] == (1e16 + 1.0) - 1e16


def test_select_takes_the_highest_uct_step_by_step(forest: Forest) -> None:
    scores = [1.0 + 2 * math.sqrt(math.log(2)), -0.5 + 2 * math.sqrt(math.log(2)), 0.0]
    assert max(scores) == scores[0]
    reached, moves = forest.select(ids(0, 0, 0, 1, 3), ids(0, 1, 9, 9, 9), 2.0)
    assert reached.tolist() == [0, 1, 4, 4, 3]
    assert moves.tolist() == [0, 0, 7, 8, 9]
    assert reached.dtype == moves.dtype == np.int32


def test_an_unvisited_child_scores_zero_and_the_first_of_equals_wins() -> None:
    forest = Forest(1, 10)
    forest.new_trees(1)
    forest.expand(ids(0), ids(4))
    assert forest.select(ids(0), ids(1), 2.0)[0].tolist() == [1]
    # The root is unvisited, so the term of exploration is 0.
    forest.add(ids(1, 2, 3), floats(-0.5, 0.25, 0.25))
    assert forest.select(ids(0), ids(1), 100.0)[0].tolist() == [2]
    forest.add(ids(2, 3), floats(-1.0, -1.0))
    assert forest.select(ids(0), ids(1), 0.0)[0].tolist() == [4]


def test_terminal_children_are_left_out_until_the_parent_is_exhausted(forest: Forest) -> None:
    forest.set_terminal(ids(4, 4))
    assert forest.select(ids(1), ids(5), 2.0)[0].tolist() == [5]
    forest.set_terminal(ids(5))
    assert not forest.terminal(0)[1]
    reached, moves = forest.select(ids(0), ids(5), 2.0)
    assert reached.tolist() == [NO_NODE] and moves.tolist() == [4]
    assert forest.terminal(0).tolist() == [False, True, False, False, True, True]
    assert forest.terminal(0).dtype == np.bool_
    assert forest.select(ids(0), ids(5), 0.0)[0].tolist() == [3]


def test_a_walk_from_a_terminal_node_goes_nowhere(forest: Forest) -> None:
    forest.set_terminal(ids(0, 3))
    reached, moves = forest.select(ids(3, 0), ids(5, 5), 2.0)
    assert reached.tolist() == [NO_NODE, NO_NODE] and moves.tolist() == [5, 5]


def test_freed_slots_are_reused_clean_and_lowest_first(forest: Forest) -> None:
    forest.set_terminal(ids(0))
    forest.new_trees(1)
    forest.free_trees(ids(2, 0))
    assert forest.num_trees == 1
    assert forest.new_trees(3).tolist() == [0, 2, 3]
    assert state(forest)[4:11] == [[0], [0.0], [0.0], [NO_NODE], [NO_NODE], [0], [False]]
    forest.expand(ids(0), ids(9))
    assert forest.visits(0).tolist() == [0] * 10 and not forest.terminal(0).any()


def test_empty_batches_do_nothing(forest: Forest) -> None:
    before = state(forest)
    assert forest.expand(ids(), ids()).tolist() == []
    assert [array.tolist() for array in forest.select(ids(), ids(), 1.0)] == [[], []]
    forest.backup(ids(), floats())
    forest.add(ids(), floats())
    forest.set_terminal(ids())
    forest.free_trees(ids())
    assert state(forest) == before


def test_returned_arrays_are_the_callers_own(forest: Forest) -> None:
    visits = forest.visits(0)
    visits[:] = 77
    assert forest.visits(0).tolist() == [2, 1, 1, 0, 1, 0]


Call = Callable[[Forest], object]

REFUSED: list[tuple[Call, type[RStarError], str]] = [
    (lambda f: f.new_trees(0), ForestError, "new_trees: count must be at least 1, got 0"),
    (lambda f: f.new_trees(3), CapacityError, "new_trees: capacity 4 trees, 2 in use, got 3 more"),
    (lambda f: f.free_trees(ids(0, 2)), ForestError, "free_trees: tree 2 is not in use"),
    (lambda f: f.free_trees(ids(0, 1, 0)), ForestError, "free_trees: tree 0 is named twice"),
    (lambda f: f.free_trees(ids(0, -1)), ForestError, "free_trees: tree -1 is not in 0..3"),
    (lambda f: f.root(2), ForestError, "root: tree 2 is not in use"),
    (lambda f: f.root(4), ForestError, "root: tree 4 is not in 0..3"),
    (lambda f: f.num_nodes(2**40), ForestError, "num_nodes: tree 1099511627776 is not in 0..3"),
    (lambda f: f.visits(3), ForestError, "visits: tree 3 is not in use"),
    (lambda f: f.q(-1), ForestError, "q: tree -1 is not in 0..3"),
    (
        lambda f: f.expand(ids(10, 0), ids(1, 2)),
        ForestError,
        "expand: node 0 has 3 children already",
    ),
    (
        lambda f: f.expand(ids(10, 2, 10), ids(1, 2, 1)),
        ForestError,
        "expand: node 10 is named twice",
    ),
    (
        lambda f: f.expand(ids(10, 6), ids(1, 1)),
        ForestError,
        "expand: node 6 at index 1 is not in use, tree 0 has nodes 0..5",
    ),
    (
        lambda f: f.expand(ids(10, 20), ids(1, 1)),
        ForestError,
        "expand: node 20 at index 1 is of tree 2, which is not in use",
    ),
    (
        lambda f: f.expand(ids(10, 40), ids(1, 1)),
        ForestError,
        "expand: node 40 at index 1 is not in 0..39",
    ),
    (
        lambda f: f.expand(ids(10, -1), ids(1, 1)),
        ForestError,
        "expand: node -1 at index 1 is not in 0..39",
    ),
    (
        lambda f: f.expand(ids(10, 2), ids(1, 0)),
        ForestError,
        "expand: counts must be in 1..8191, got 0 at index 1",
    ),
    (
        lambda f: f.expand(ids(10, 2), ids(1, 8192)),
        ForestError,
        "expand: counts must be in 1..8191, got 8192 at index 1",
    ),
    (lambda f: f.expand(ids(10, 2), ids(1)), ForestError, "expand: 2 nodes but 1 counts"),
    (
        lambda f: f.expand(ids(10, 2), ids(1, 5)),
        CapacityError,
        "expand: tree 0 has capacity 10, 6 nodes in use, got 5 more for node 2",
    ),
    (
        lambda f: f.expand(ids(2, 3), ids(3, 2)),
        CapacityError,
        "expand: tree 0 has capacity 10, 9 nodes in use, got 2 more for node 3",
    ),
    (
        lambda f: f.select(ids(0, 6), ids(1, 1), 1.0),
        ForestError,
        "select: node 6 at index 1 is not in use",
    ),
    (lambda f: f.select(ids(0), ids(1, 1), 1.0), ForestError, "select: 1 nodes but 2 moves"),
    (
        lambda f: f.select(ids(0, 1), ids(1, -2), 1.0),
        ForestError,
        "select: moves must not be negative, got -2 at index 1",
    ),
    (
        lambda f: f.select(ids(0), ids(1), math.nan),
        ForestError,
        "select: c must be finite and not negative, got nan",
    ),
    (
        lambda f: f.select(ids(0), ids(1), math.inf),
        ForestError,
        "select: c must be finite and not negative, got inf",
    ),
    (
        lambda f: f.select(ids(0), ids(1), -0.5),
        ForestError,
        "select: c must be finite and not negative, got -0.5",
    ),
    (
        lambda f: f.backup(ids(0, 9), floats(1, 1)),
        ForestError,
        "backup: node 9 at index 1 is not in use",
    ),
    (
        lambda f: f.backup(ids(0, 1), floats(1, math.nan)),
        ForestError,
        "backup: values must be finite, got nan at index 1",
    ),
    (
        lambda f: f.backup(ids(0, 1), floats(1, -math.inf)),
        ForestError,
        "backup: values must be finite, got -inf at index 1",
    ),
    (lambda f: f.backup(ids(0), floats(1, 1)), ForestError, "backup: 1 nodes but 2 values"),
    (
        lambda f: f.add(ids(0, 30), floats(1, 1)),
        ForestError,
        "add: node 30 at index 1 is of tree 3, which is not in use",
    ),
    (
        lambda f: f.add(ids(0, 1), floats(1, math.nan)),
        ForestError,
        "add: values must be finite, got nan at index 1",
    ),
    (
        lambda f: f.add(ids(0), np.ones((1, 1))),
        ForestError,
        "add: values must have one dimension, got 2",
    ),
    (
        lambda f: f.set_terminal(ids(1, 6)),
        ForestError,
        "set_terminal: node 6 at index 1 is not in use",
    ),
    (
        lambda f: f.set_terminal(np.zeros((), np.int32)),
        ForestError,
        "set_terminal: nodes must have one dimension, got 0",
    ),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), REFUSED, ids=[message for *_, message in REFUSED]
)
def test_what_is_refused_changes_nothing(
    forest: Forest, call: Call, error: type[RStarError], message: str
) -> None:
    before = state(forest)
    with pytest.raises(RStarError) as refusal:
        call(forest)
    assert type(refusal.value) is error
    assert str(refusal.value).startswith(message)
    assert state(forest) == before
    # If the refused call had taken room, these ids would be higher.
    assert forest.expand(ids(2), ids(4)).tolist() == [6]


def test_a_terminal_node_is_not_expanded(forest: Forest) -> None:
    forest.set_terminal(ids(3))
    with pytest.raises(ForestError, match="expand: node 3 is terminal"):
        forest.expand(ids(3), ids(1))


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.expand(np.array([10]), ids(1)),
        lambda f: f.expand([10], [1]),
        lambda f: f.expand(ids(10), floats(1)),
        lambda f: f.backup(ids(0), np.ones(1, np.float32)),
        lambda f: f.backup(ids(0, 0, 1)[::2], floats(1, 1)),
        lambda f: f.select(ids(0), ids(1), "2"),
        lambda f: f.new_trees(1.5),
        lambda f: f.root(None),
    ],
)
def test_types_are_never_converted(forest: Forest, call: Call) -> None:
    before = state(forest)
    with pytest.raises(TypeError):
        call(forest)
    assert state(forest) == before


@pytest.mark.parametrize(
    ("max_trees", "nodes_per_tree"), [(0, 1), (1, 0), (-1, 5), (2**31, 1), (2**16, 2**16)]
)
def test_impossible_sizes_are_refused(max_trees: int, nodes_per_tree: int) -> None:
    with pytest.raises(ForestError, match=r"^Forest: .*, got "):
        Forest(max_trees, nodes_per_tree)


def test_room_costs_nothing_until_it_is_used() -> None:
    forest = Forest(4096, 20_000)
    forest.new_trees(4096)
    assert forest.num_nodes(4095) == 1


def test_threads_share_a_forest() -> None:
    forest = Forest(1, 1000)
    forest.new_trees(1)
    forest.expand(ids(0), ids(999))

    def work(begin: int) -> None:
        nodes = np.arange(begin, 1000, 4, dtype=np.int32)
        for _ in range(200):
            forest.backup(nodes, np.ones(len(nodes)))
            forest.select(ids(0), ids(3), 1.0)

    threads = [threading.Thread(target=work, args=(begin,)) for begin in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert forest.visits(0).tolist() == [999 * 200] + [200] * 999
