"""Memory, verify, reroot, prune, pickling, threads and instruction sets of the forest."""

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from forests import grown, ids

from rstar_fast._core import (
    NO_NODE,
    BlockLists,
    Forest,
    Pack,
    simd_level,
    simd_levels,
    use_simd_level,
)
from rstar_fast.errors import CapacityError, ForestError


@pytest.fixture(autouse=True)
def fastest_level() -> Iterator[None]:
    yield
    use_simd_level(simd_levels()[0])


def test_every_instruction_set_and_thread_count_makes_the_same_trees() -> None:
    states = {}
    for level in simd_levels():
        use_simd_level(level)
        assert simd_level() == level
        states[level] = pickle.dumps(grown(trees=3, sims=100, children=45))
    assert simd_levels()[-1] == "scalar" and len(set(states.values())) == 1
    assert pickle.dumps(grown(trees=2100, sims=4, threads=2)) == pickle.dumps(
        grown(trees=2100, sims=4)
    )
    with pytest.raises(ForestError, match=r"use_simd_level: expected one of .*scalar, got 'mmx'"):
        use_simd_level("mmx")


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 200])
def test_siblings_of_any_number_give_the_first_of_the_highest(level: str, count: int) -> None:
    """Siblings have near-ties that float32 cannot tell apart, and some siblings are terminal."""
    use_simd_level(level)
    random = np.random.default_rng(count)
    for _ in range(20):
        values = 0.3 + random.choice([0.0, 1e-12, 2e-12, 1e-4], count)
        forest = Forest(2, 300)
        forest.new_trees(1)
        forest.backup(ids(0, 0), np.zeros(2))
        forest.expand(ids(0), ids(count), values)
        open_values = values.copy()
        closed = np.flatnonzero(random.random(count) < 0.2)[: count - 1]
        forest.set_terminal((closed + 1).astype(np.int32))
        open_values[closed] = -np.inf
        reached, _ = forest.select(ids(0), ids(1), float(random.choice([0.0, 0.5])))
        assert reached[0] - 1 == np.argmax(open_values)


def test_a_backup_follows_the_parents_of_today() -> None:
    """A backup of the node where the last walk ended is done in one go.

    After the ids have moved, the node of that id has other ancestors.
    """
    deep = np.array([5, 4, 3, 2, 1], np.float64)

    def walked() -> tuple[Forest, int]:
        """Return a tree 0 -> 1..5 with children below 1 (6..10) and 6 (11..15), and where a walk
        ended."""
        forest = Forest(1, 100, keep_values=True)
        forest.new_trees(1)
        for node in (0, 1, 6):
            forest.expand(ids(node), ids(5), deep)
        reached, _ = forest.select(ids(0), ids(9), 0.0)
        assert reached[0] == 11
        return forest, int(reached[0])

    forest, end = walked()
    forest.expand(ids(2, 12), ids(5, 5))
    forest.prune(ids(3))  # Node 11 is now what was node 12.
    forest.backup(ids(end - 1, end), np.ones(2))
    forest.verify()

    forest, end = walked()
    forest.expand(ids(end), ids(9))
    forest.reroot(1)
    forest.backup(ids(end), np.ones(1))
    forest.verify()

    forest, end = walked()
    forest.free_trees(ids(0))
    forest.new_trees(1)
    forest.expand(ids(0), ids(20))
    forest.backup(ids(end), np.ones(1))
    forest.verify()
    assert forest.visits(0).sum() == 2

    forest, end = walked()
    again = pickle.loads(pickle.dumps(forest))
    again.backup(ids(end), np.ones(1))
    again.verify()


def test_a_path_longer_than_what_is_kept() -> None:
    forest = Forest(1, 200, keep_values=True)
    forest.new_trees(1)
    for depth in range(1, 60):
        end, _ = forest.select(ids(0), ids(100), 0.0)
        forest.expand(end, ids(2), np.array([0.5, 0.1]))
        forest.backup(end, np.array([1.0]))
        forest.verify()
        assert forest.visits(0)[0] == depth and end[0] == (0 if depth == 1 else 2 * depth - 3)


def test_one_call_for_a_simulation() -> None:
    """`simulate` does what its three calls do, in batches of one group and of several."""
    random = np.random.default_rng(1)
    for trees, children, order in ((5, 32, 1), (300, 5, 1), (300, 32, -1), (3000, 2, 1)):
        one, three = (Forest(trees, 40 * children, keep_values=True) for _ in range(2))
        one.threads = 3
        roots = (one.new_trees(trees) * np.int32(one.nodes_per_tree))[::order].copy()
        three.new_trees(trees)
        moves, counts = np.full(trees, 40, np.int32), np.full(trees, children, np.int32)
        ends, _ = one.select(roots, moves, 1.0)
        for step in range(20):
            scores = random.uniform(-1, 1, trees * children) if step % 4 else None
            values = random.uniform(-1, 1, trees)
            first = three.expand(ends, counts, scores)
            three.backup(ends, values)
            expected = three.select(roots, moves, 1.0)
            answer = one.simulate(ends, counts, scores, values, roots, moves, 1.0)
            assert (answer[0] == first).all()
            assert (answer[1] == expected[0]).all() and (answer[2] == expected[1]).all()
            ends = answer[1]
        assert pickle.dumps(one) == pickle.dumps(three)
        one.verify()


def test_a_large_arena_takes_huge_pages_only_if_trees_share_them() -> None:
    """Memory is counted in the pages that are asked for."""
    shared, apart = Forest(4096, 12_832), Forest(1024, 100_000)
    for forest in (shared, apart):
        forest.new_trees(1)
    assert shared.memory_bytes % (2 << 20) == 0
    assert apart.memory_bytes == 4096
    limited = Forest(4096, 12_832, memory_limit_bytes=1 << 30)
    limited.new_trees(1)
    assert limited.memory_bytes == 4096


def test_memory_is_counted_and_limited() -> None:
    forest = Forest(4, 100_000, memory_limit_bytes=1 << 20)
    assert (forest.memory_bytes, forest.memory_limit_bytes) == (0, 1 << 20)
    root = forest.root(int(forest.new_trees(1)[0]))
    first = forest.expand(ids(root), ids(8000))
    held = forest.memory_bytes
    assert 8001 * 22 <= held <= 8001 * 22 + 3 * 4096
    nodes = first + np.arange(6, dtype=np.int32)
    message = (
        f"expand: memory_limit_bytes is 1048576; {held} bytes are in use "
        "and this call would make it [0-9]+"
    )
    with pytest.raises(CapacityError, match=message):
        forest.expand(nodes, np.full(6, 8000, np.int32))
    assert forest.memory_bytes == held and forest.num_nodes(0) == 8001
    forest.expand(nodes[:4], np.full(4, 8000, np.int32))
    # The memory of a freed tree is kept for its slot, and given back when another tree needs it.
    held = forest.memory_bytes
    second = forest.root(int(forest.new_trees(1)[0]))
    forest.free_trees(ids(0))
    assert forest.memory_bytes > held
    forest.expand(forest.expand(ids(second), ids(8000)), ids(8000))
    assert forest.memory_bytes < held
    with pytest.raises(ForestError, match="memory_limit_bytes must be at least 1, got 0"):
        Forest(1, 1, memory_limit_bytes=0)


def test_a_pickled_forest_is_the_same_and_its_own() -> None:
    forest = grown(keep_values=True)
    other = copy.deepcopy(forest)
    assert other.keeps_values and pickle.dumps(other) == pickle.dumps(forest)
    other.backup(ids(0), np.ones(1))
    assert other.visits(0)[0] == forest.visits(0)[0] + 1
    with pytest.raises(ForestError, match="load: a pickled forest: damaged: the checksum differs"):
        pickle.loads(pickle.dumps(forest).replace(other.value_sums(0)[1].tobytes(), bytes(8)))


def test_reroot_keeps_the_subtree_as_it_was() -> None:
    forest = grown(trees=2, sims=30, children=4, keep_values=True)
    before = [
        getattr(forest, name)(1) for name in ("visits", "value_sums", "num_children", "parents")
    ]
    base = forest.root(1)
    child = int(np.argmax(before[2][1:])) + 1
    new_ids = forest.reroot(base + child)
    kept = np.flatnonzero(new_ids != NO_NODE)
    assert kept[0] == child and len(kept) == forest.num_nodes(1) > 4
    assert new_ids[kept].tolist() == list(range(base, base + len(kept)))
    for name, old in zip(("visits", "value_sums", "num_children"), before, strict=False):
        assert getattr(forest, name)(1).tolist() == old[kept].tolist()
    assert forest.parents(1).tolist() == [NO_NODE, *new_ids[before[3][kept[1:]] - base].tolist()]
    forest.verify()
    forest.expand(ids(int(new_ids[kept[-1]])), ids(4))
    with pytest.raises(ForestError, match="reroot: node -1 at index 0"):
        forest.reroot(-(2**40))


def test_prune_refuses_what_it_cannot_do() -> None:
    forest = grown(trees=2, sims=3)
    for nodes, reason in (
        (ids(), "prune: expected at least one node"),
        (ids(1, forest.root(1) + 1), "prune: node .* is of tree 1, node 1 of tree 0"),
        (ids(0), "prune: node 0 is the root; free_trees forgets a whole tree"),
    ):
        with pytest.raises(ForestError, match=reason):
            forest.prune(nodes)
    forest.verify()


def test_threads_may_share_a_forest_or_have_their_own() -> None:
    shared = Forest(2, 40_000, keep_values=True)
    roots = shared.new_trees(2) * np.int32(40_000)
    own = [Forest(1, 40_000, keep_values=True) for _ in range(2)]
    for forest in own:
        forest.new_trees(1)
    failures: list[BaseException] = []

    def work(which: int) -> None:
        try:
            random = np.random.default_rng(which)
            for _ in range(600):
                scores, value = random.uniform(-1, 1, 32), random.uniform(-1, 1, 1)
                for forest, root in ((shared, roots[which]), (own[which], 0)):
                    leaf, _ = forest.select(ids(root), ids(99), 2.0)
                    forest.expand(leaf, ids(32), scores)
                    forest.backup(leaf, value)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    shared.verify()
    for which, forest in enumerate(own):
        forest.verify()
        assert forest.num_nodes(0) == 1 + 600 * 32
        assert forest.value_sums(0).tolist() == shared.value_sums(which).tolist()


def test_a_forked_process_may_use_a_forest_that_ran_on_threads() -> None:
    program = """
import os
import numpy as np
from rstar_fast._core import Forest
forest = Forest(4096, 100)
forest.threads = 4
roots = forest.new_trees(4096) * np.int32(100)
moves = np.ones(4096, np.int32)
forest.select(roots, moves, 1.0)
pid = os.fork()
reached, _ = forest.select(roots, moves, 1.0)
assert reached.tolist() == roots.tolist()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_the_number_of_threads_is_checked() -> None:
    forest = Forest(1, 1)
    for threads in (0, -1, 1025):
        with pytest.raises(ForestError, match=rf"threads must be in 1\.\.1024, got {threads}"):
            forest.threads = threads
    assert forest.threads == 1


def test_a_batch_may_not_name_the_nodes_that_it_makes() -> None:
    forest = Forest(max_trees=2, nodes_per_tree=10)
    forest.new_trees(1)
    # Leave the fields of a former tree behind, with children that the new one does not have.
    forest.expand(ids(0), ids(5))
    forest.free_trees(ids(0))
    forest.new_trees(1)
    with pytest.raises(ForestError, match="expand: node 1 at index 1 is not in use"):
        forest.expand(ids(0, 1), ids(2, 2))
    assert forest.num_nodes(0) == 1
    forest.verify()


@pytest.mark.parametrize("kind", [Forest, Pack, BlockLists])
def test_an_object_that_was_never_initialized_is_refused(kind: type) -> None:
    class Derived(kind):  # type: ignore[misc]
        pass

    for empty in (kind.__new__(kind), Derived.__new__(Derived)):
        members = [name for name in vars(kind) if not name.startswith("_") and name != "load"]
        for name in members:
            with pytest.raises(TypeError, match=r"never called|incompatible function arguments"):
                getattr(empty, name)()
        for read in (repr, pickle.dumps) if kind is Forest else ():
            with pytest.raises(TypeError, match=f"{kind.__name__}: expected an initialized object"):
                read(empty)
        if properties := [name for name in members if isinstance(vars(kind)[name], property)]:
            with pytest.raises(TypeError, match=f"{kind.__name__}: expected an initialized object"):
                getattr(empty, properties[0])
