"""Saved forests: what `save` wrote is loaded again, and any damage to it is found."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from forests import checksum, grown, ids, small_forest, state

from rstar_fast._core import Forest
from rstar_fast.errors import CapacityError, ForestError, InternalError


@pytest.fixture
def forest() -> Forest:
    return small_forest()


def test_save_and_load(forest: Forest, tmp_path: Path) -> None:
    forest.set_terminal(ids(3))
    path = tmp_path / "forest"
    forest.save(path)
    forest.save(str(path))
    loaded = Forest.load(path)
    assert state(loaded) == state(forest)
    assert loaded.new_trees(1).tolist() == [2]
    assert [file.name for file in tmp_path.iterdir()] == ["forest"]


def test_an_empty_forest_is_saved_too(tmp_path: Path) -> None:
    Forest(2, 5).save(tmp_path / "forest")
    assert Forest.load(tmp_path / "forest").num_trees == 0


def test_load_refuses_what_save_did_not_write(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    for content in (b"", b"rstarfst", b"{}" * 100):
        foreign.write_bytes(content)
        with pytest.raises(ForestError, match="foreign: not a saved forest"):
            Forest.load(foreign)
    with pytest.raises(ForestError, match="nowhere: No such file or directory"):
        Forest.load(tmp_path / "nowhere")
    with pytest.raises(ForestError, match=f"{tmp_path.name}: Is a directory"):
        Forest.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(forest: Forest, tmp_path: Path) -> None:
    with pytest.raises(ForestError, match=r"save: .*/nowhere/forest: No such file or directory"):
        forest.save(tmp_path / "nowhere" / "forest")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ForestError, match=r"save: .*/folder: Is a directory"):
        forest.save(tmp_path / "folder")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def damaged(content: bytes) -> Iterable[bytes]:
    """Yield every truncation, two forms of excess, and every change of one byte."""
    yield from (content[:size] for size in range(len(content)))
    yield from (content + b"\0", content + content)
    yield from (
        content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :] for at in range(len(content))
    )


def test_load_refuses_any_damage(forest: Forest, tmp_path: Path) -> None:
    path = tmp_path / "forest"
    forest.save(path)
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(
            ForestError,
            match=r"load: .*/forest: (not a saved forest|saved as version|truncated or|damaged)",
        ):
            Forest.load(path)


def test_load_checks_the_structure_behind_a_right_checksum(forest: Forest, tmp_path: Path) -> None:
    path = tmp_path / "forest"
    forest.save(path)
    body = path.read_bytes()[:-8]
    # Offset 16 is max_trees, 20 is nodes_per_tree, and 32 to 48 are num_nodes of trees 0 to 3. The
    # six nodes of tree 0 come behind a byte for each tree, which says whether it is widened.
    value_sums = 32 + 4 * 4 + 4
    visits = value_sums + 6 * 8
    first_children = visits + 6 * 4
    parents = first_children + 6 * 4
    states = parents + 6 * 4
    changes: list[tuple[int, bytes, str]] = [
        *(
            (at, value, "damaged: ")
            for at in (16, 20, 32, 40)
            for value in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f")
        ),
        (36, b"\x00\x00\x00\x00", "damaged: the sizes of its parts do not add up"),
        (40, b"\x01\x00\x00\x00", "damaged: the sizes of its parts do not add up"),
        (value_sums, b"\x00\x00\x00\x00\x00\x00\xf8\x7f", "node 0 has 2 visits and value sum nan"),
        (visits, b"\xff\xff\xff\xff", "node 0 has -1 visits"),
        (first_children, b"\x02\x00\x00\x00", "node 1 is not among the children of its parent 0"),
        (parents, b"\x00\x00\x00\x00", "root 0 has a parent"),
        (parents + 4, b"\x01\x00\x00\x00", "node 1 has parent 1"),
        (parents + 8, b"\xff\xff\xff\xff", "node 2 has parent -1"),
        (parents + 16, b"\x02\x00\x00\x00", "node 4 is not among the children of its parent 2"),
        (states, b"\x04\x00", "its 6 nodes have 6 children"),
        (28, b"\x01", "truncated or damaged"),
        (12, b"\x17", "saved as version 3, 23 bytes a node"),
        (14, b"\x02", "damaged: keeps_values is 2"),
        (48, b"\x01", "damaged: "),
        (48, b"\x02", "damaged: tree 0 is marked as neither widened nor not"),
        (50, b"\x01", "damaged: tree 2 is marked as neither widened nor not"),
    ]
    for at, value, reason in changes:
        changed = body[:at] + value + body[at + len(value) :]
        path.write_bytes(changed + checksum(changed))
        with pytest.raises(ForestError, match=reason):
            Forest.load(path)

    path.write_bytes(body + checksum(body))
    assert state(Forest.load(path)) == state(forest)


def test_a_forest_too_large_for_its_limit_is_not_loaded(tmp_path: Path) -> None:
    grown().save(tmp_path / "forest")
    with pytest.raises(CapacityError, match="load: memory_limit_bytes is 5000"):
        Forest.load(tmp_path / "forest", memory_limit_bytes=5000)


def test_verify_finds_any_change_to_a_saved_state(tmp_path: Path) -> None:
    """Any one changed byte of a saved forest is refused by `load` or found by `verify`."""
    forest = grown(trees=1, sims=3, children=3, keep_values=True)
    forest.set_terminal(ids(9))
    path = tmp_path / "forest"
    forest.save(path)
    body = path.read_bytes()[:-8]
    refused = found = 0
    random = np.random.default_rng(0)
    begin, states = 32, 36 + 10 * 20
    for at in range(begin, len(body)):
        change = int(random.integers(1, 256))
        # Any node may be terminal, and any leaf in flight.
        if at in range(states + 1, states + 20, 2) and not change & ~0x60:
            continue
        changed = bytearray(body)
        changed[at] ^= change
        path.write_bytes(bytes(changed) + checksum(bytes(changed)))
        try:
            loaded = Forest.load(path)
        except ForestError:
            refused += 1
            continue
        with pytest.raises(InternalError, match="verify: tree 0: "):
            loaded.verify()
        found += 1
    assert refused > 20 and found > 100
