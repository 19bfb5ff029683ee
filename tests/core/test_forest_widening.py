"""Children that are drawn one by one: which node wants one, and what a tree keeps of them."""

from pathlib import Path

import numpy as np
import pytest
from forests import ids

from rstar_fast._core import BUSY, NO_NODE, Forest
from rstar_fast.errors import CapacityError, ForestError


def walk(forest: Forest, start: int = 0, **options: float) -> tuple[int, int]:
    """Return where a claiming walk with nine moves ends, and the moves that it has left."""
    reached, left = forest.select(
        ids(start), ids(9), 0.5, claim=True, **{"widening": 1.0, **options}
    )
    return int(reached[0]), int(left[0])


@pytest.fixture
def forest() -> Forest:
    forest = Forest(2, 40, keep_values=True)
    forest.new_trees(2)
    return forest


@pytest.mark.parametrize(("factor", "exponent"), [(1.0, 0.5), (2.0, 0.5), (1.5, 0.7), (1.0, 0.0)])
def test_a_node_has_as_many_draws_as_its_visits_allow(
    forest: Forest, factor: float, exponent: float
) -> None:
    for visits in range(30):
        while walk(forest, widening=factor, widening_exponent=exponent)[0] == 0:
            forest.append(ids(0))
        allowed = int(np.ceil(factor * (visits + 1) ** exponent))
        assert forest.num_children(0)[0] == allowed
        forest.release(ids(*np.flatnonzero(forest.in_flight(0))))
        forest.backup(ids(0), np.zeros(1))
    forest.verify()


def test_a_repeated_draw_counts_and_ends_the_claim(forest: Forest) -> None:
    assert walk(forest, widening=2.0) == (0, 9)
    assert walk(forest) == (BUSY, 9)
    (child,) = forest.append(ids(0)).tolist()
    assert walk(forest, widening=2.0) == (0, 9)
    forest.redraw(ids(child))
    assert forest.draws(0).tolist() == [1, 2]
    assert walk(forest, widening=2.0) == (child, 8)


def test_children_that_were_made_apart_are_one_family(forest: Forest) -> None:
    first, second = forest.append(ids(0, 0)).tolist()
    forest.append(ids(first, second))
    (last,) = forest.append(ids(0)).tolist()
    assert forest.parents(0).tolist() == [NO_NODE, 0, 0, 1, 2, 0]
    forest.backup(ids(first, second, last), np.array([0.1, 0.1, 0.9]))
    reached, _ = forest.select(ids(0), ids(1), 0.0)
    assert reached.tolist() == [last]
    # The first of equals wins.
    forest.set_terminal(ids(last))
    assert forest.select(ids(0), ids(1), 0.0)[0].tolist() == [first]
    (start,) = forest.expand(ids(last - 1), ids(3)).tolist()
    (late,) = forest.append(ids(last - 1)).tolist()
    assert forest.num_children(0)[last - 1] == 4 and late == start + 3
    forest.verify()


def test_a_node_of_terminal_children_waits_for_its_next_draw_and_ends_at_the_last(
    forest: Forest,
) -> None:
    child = forest.append(ids(0))
    forest.set_terminal(child)
    assert walk(forest) == (0, 0)
    assert not forest.in_flight(0).any() and not forest.terminal(0)[0]
    forest.backup(ids(0), np.zeros(1))
    assert walk(forest) == (0, 9)
    forest.redraw(child)
    assert walk(forest, max_draws=2) == (NO_NODE, 9)
    assert forest.terminal(0).tolist() == [True, True]


def test_a_claim_below_a_claimed_node_ends_without_it(forest: Forest) -> None:
    (child,) = forest.append(ids(0)).tolist()
    assert walk(forest, widening=1.0) == (child, 8)
    # The only child is in flight and no draw is due: the root is blocked.
    assert walk(forest, widening=1.0) == (BUSY, 9)
    forest.append(ids(child))
    forest.backup(ids(0), np.zeros(1))
    assert walk(forest, start=child) == (child + 1, 8)
    assert walk(forest) == (0, 9)
    forest.release(ids(child + 1))
    assert forest.in_flight(0).tolist() == [True, False, False]
    forest.verify()


def test_lists_of_siblings_outlive_saving_and_cutting(forest: Forest, tmp_path: Path) -> None:
    first, second = forest.append(ids(0, 0)).tolist()
    forest.append(ids(second, first, second, 0))
    forest.redraw(ids(second, second))
    forest.save(tmp_path / "forest")
    again = Forest.load(tmp_path / "forest")
    assert (again.draws(0) == forest.draws(0)).all() and again.memory_bytes == forest.memory_bytes
    for one in (forest, again):
        one.prune(ids(first))
        assert one.parents(0).tolist() == [NO_NODE, 0, 1, 1, 0]
        assert one.draws(0).tolist() == [1, 3, 1, 1, 1]
        one.reroot(1)
        assert one.parents(0).tolist() == [NO_NODE, 0, 0]
        one.append(ids(0))
        one.verify()


def test_a_refused_call_changes_nothing(forest: Forest) -> None:
    before = forest.memory_bytes
    forest.set_terminal(ids(40))
    for nodes, error in [(ids(0, 40), ForestError), (ids(*[0] * 40), CapacityError)]:
        with pytest.raises(error, match=r"^append"):
            forest.append(nodes)
    with pytest.raises(ForestError, match="redraw: node 40 at index 0 is a root"):
        forest.redraw(ids(40))
    for name, value in [("widening", -1.0), ("widening_exponent", np.inf), ("max_draws", 0)]:
        with pytest.raises(ForestError, match=f"select: {name} must be"):
            walk(forest, **{name: value})
    assert forest.num_nodes(0) == 1 and forest.memory_bytes == before
    forest.verify()


def test_the_limit_of_memory_counts_lists_of_siblings() -> None:
    size = 4000
    small = Forest(1, size)
    small.new_trees(1)
    small.expand(ids(0), ids(3000))
    limited = Forest(1, size, memory_limit_bytes=small.memory_bytes + 8 * 3001 - 1)
    limited.new_trees(1)
    limited.expand(ids(0), ids(3000))
    with pytest.raises(CapacityError, match="redraw: memory_limit_bytes"):
        limited.redraw(ids(1))
    assert limited.memory_bytes == small.memory_bytes
    small.redraw(ids(1))
    assert small.memory_bytes == limited.memory_bytes + 8 * 3001
    small.free_trees(ids(0))
    assert small.memory_bytes == limited.memory_bytes
