"""Nodes in flight are left out of every walk until they are expanded, released or terminal."""

import numpy as np
import pytest
from forests import ids

from rstar_fast._core import BUSY, NO_NODE, Forest
from rstar_fast.errors import ForestError


@pytest.fixture
def forest() -> Forest:
    """One tree: 0 -> 1 2, 1 -> 3 4. Node 1 is better than 2, and 3 is better than 4."""
    forest = Forest(1, 20)
    forest.new_trees(1)
    forest.backup(ids(0), np.zeros(1))
    forest.expand(ids(0), ids(2), np.array([0.5, 0.25]))
    forest.expand(ids(1), ids(2), np.array([0.5, 0.25]))
    return forest


def claims(forest: Forest, count: int) -> list[int]:
    """Return the nodes that `count` walks from the root claim."""
    reached, _ = forest.select(
        np.zeros(count, np.int32), np.full(count, 9, np.int32), 0.0, claim=True
    )
    return reached.tolist()


def test_every_open_leaf_is_claimed_once_and_then_the_tree_is_busy(forest: Forest) -> None:
    assert claims(forest, 5) == [3, 4, 2, BUSY, BUSY]
    assert forest.in_flight(0).tolist() == [False, False, True, True, True]
    assert not forest.terminal(0).any()
    reached, moves = forest.select(ids(0, 1, 3), ids(9, 9, 9), 0.0)
    assert reached.tolist() == [BUSY, BUSY, BUSY] and moves.tolist() == [9, 9, 9]


def test_a_claim_ends_when_its_node_is_expanded_released_or_terminal(forest: Forest) -> None:
    assert claims(forest, 4) == [3, 4, 2, BUSY]
    forest.release(ids(4))
    assert claims(forest, 2) == [4, BUSY]
    forest.expand(ids(3), ids(2))
    assert claims(forest, 3) == [5, 6, BUSY]
    forest.set_terminal(ids(4, 5, 6))
    # The first walk finds that 3 is exhausted, the second that 1 is. Node 2 is still in flight.
    assert claims(forest, 3) == [NO_NODE, NO_NODE, BUSY]
    assert forest.terminal(0).tolist() == [False, True, False, True, True, True, True]
    forest.set_terminal(ids(2))
    assert claims(forest, 1) == [NO_NODE]
    forest.verify()


def test_without_claim_or_moves_nothing_is_put_in_flight(forest: Forest) -> None:
    forest.select(ids(0), ids(9), 0.0)
    forest.select(ids(0, 0), ids(2, 1), 0.0, claim=True)
    assert not forest.in_flight(0).any()


def test_only_nodes_in_flight_are_released(forest: Forest) -> None:
    claims(forest, 1)
    with pytest.raises(ForestError, match="release: node 4 at index 1 is not in flight"):
        forest.release(ids(3, 4))
    assert forest.in_flight(0)[3]


def test_nodes_in_flight_are_not_forgotten(forest: Forest) -> None:
    assert claims(forest, 1) == [3]
    for call in (lambda: forest.prune(ids(1)), lambda: forest.reroot(2)):
        with pytest.raises(ForestError, match="node 3 would be forgotten and is in flight"):
            call()
    assert forest.prune(ids(2)).tolist() == [0, 1, NO_NODE, 2, 3]
    assert forest.in_flight(0).tolist() == [False, False, True, False]
    forest.expand(ids(2), ids(1))
    forest.verify()


def test_repeats_in_one_call_are_done_in_order_whatever_the_threads() -> None:
    def grown(threads: int) -> list[list[int]]:
        forest = Forest(64, 1000)
        forest.threads = threads
        roots = forest.new_trees(64) * np.int32(1000)
        forest.expand(
            roots, np.full(64, 30, np.int32), np.random.default_rng(0).uniform(-1, 1, 64 * 30)
        )
        forest.backup(roots, np.zeros(64))
        # Every root forty times, in random order: more walks than there are leaves.
        starts = np.random.default_rng(1).permutation(np.repeat(roots, 40))
        reached, _ = forest.select(starts, np.full(len(starts), 9, np.int32), 2.0, claim=True)
        assert np.count_nonzero(reached == BUSY) == 64 * 10
        forest.backup(starts, np.random.default_rng(2).uniform(-1, 1, len(starts)))
        forest.verify()
        return [reached.tolist(), *(forest.value_sums(tree).tolist() for tree in range(64))]

    assert grown(2) == grown(1)
    assert grown(5) == grown(1)
