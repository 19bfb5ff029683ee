"""Trees are packed in depth-first order, and block lists agree with a dense mask."""

import gc

import numpy as np
import pytest
from numpy.typing import NDArray
from random_trees import SHAPES, TokenTree, random_tree, token_tree

from rstar_fast._core import NO_TOKEN, BlockLists, Pack, pack, visible_blocks
from rstar_fast.errors import PackError

Ints = NDArray[np.int32]


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def packed(tree: TokenTree) -> Pack:
    return pack(tree.parents, tree.num_tokens, tree.tokens)


def dense_mask(end: Ints, position: Ints, queries: Ints, window: int | None) -> NDArray[np.bool_]:
    """Return the mask by its definition, bool [queries, tokens]."""
    keys = np.arange(len(end))
    seen = (keys[None] <= queries[:, None]) & (queries[:, None] < end[None])
    if window is not None:
        seen &= position[queries][:, None] - position[None] < window
    return np.asarray(seen)


@pytest.mark.parametrize("tree", SHAPES.values(), ids=SHAPES)
def test_every_path_reads_as_its_own_text(tree: TokenTree) -> None:
    found = packed(tree)
    mask = dense_mask(found.end, found.position, np.arange(len(found.tokens), dtype=np.int32), None)
    for node, count in enumerate(tree.num_tokens):
        text, last = tree.text(node), found.score_index[node]
        seen = np.flatnonzero(mask[last])
        assert found.tokens[seen].tolist() == text
        assert found.position[seen].tolist() == list(range(len(text)))
        begin = found.begin[node]
        assert found.tokens[begin : begin + count].tolist() == tree.run(node)


def test_the_picture_of_the_header() -> None:
    found = pack(ints(-1, 0, 0, 1), ints(3, 2, 1, 2), ints(10, 11, 12, 20, 21, 30, 40, 41))
    assert found.tokens.tolist() == [10, 11, 12, 20, 21, 40, 41, 30]
    assert found.position.tolist() == [0, 1, 2, 3, 4, 5, 6, 3]
    assert found.end.tolist() == [8, 8, 8, 7, 7, 7, 7, 8]
    assert found.begin.tolist() == [0, 3, 7, 5]
    assert found.score_index.tolist() == [2, 4, 7, 6]


def test_a_node_without_tokens_is_scored_where_its_parent_is() -> None:
    found = pack(ints(-1, 0, 1, -1, 3), ints(2, 0, 1, 0, 3), ints(*range(6)))
    assert found.score_index.tolist() == [1, 1, 2, NO_TOKEN, 5]
    assert found.begin.tolist() == [0, 2, 2, 3, 3]


def test_nothing_to_pack() -> None:
    found = pack(ints(), ints(), ints())
    assert found.tokens.tolist() == found.score_index.tolist() == []
    lists = visible_blocks(found.end, found.position, ints(), 4, 4)
    assert lists.offsets.tolist() == [0] and lists.transpose().offsets.tolist() == [0]


def check_lists(
    lists: BlockLists, mask: NDArray[np.bool_], rows: int, columns: int, exact: bool
) -> None:
    """Check that full blocks are wholly visible and unlisted ones not at all.

    Each list of a row ascends, and no block is listed twice.
    """
    for i in range(len(lists.split)):
        full = lists.blocks[lists.offsets[i] : lists.split[i]].tolist()
        partial = lists.blocks[lists.split[i] : lists.offsets[i + 1]].tolist()
        assert full == sorted(full) and partial == sorted(partial) and not set(full) & set(partial)
        for j in range(-(-mask.shape[1] // columns)):
            tile = mask[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            whole = tile.shape[1] == columns
            if j in full:
                assert whole and tile.all()
            elif j not in partial:
                assert not tile.any()
            elif exact:
                assert tile.any() and not (whole and tile.all())


@pytest.mark.parametrize("window", [None, 1, 6])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 4), (3, 8), (16, 5), (1000, 1000)])
@pytest.mark.parametrize("tree", SHAPES.values(), ids=SHAPES)
def test_lists_cover_exactly_what_is_visible(
    tree: TokenTree, rows: int, columns: int, window: int | None
) -> None:
    found = packed(tree)
    queries = np.arange(len(found.tokens), dtype=np.int32)
    lists = visible_blocks(found.end, found.position, queries, rows, columns, window)
    mask = dense_mask(found.end, found.position, queries, window)
    assert len(lists.split) == -(-len(queries) // rows)
    check_lists(lists, mask, rows, columns, exact=window is None)
    if rows == columns == 1:
        assert len(lists.blocks) == mask.sum()


@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize("seed", range(4))
def test_some_tokens_ask(seed: int, window: int | None) -> None:
    found = packed(random_tree(seed, 60, num_roots=3))
    draw = np.random.default_rng(seed)
    queries = np.flatnonzero(draw.random(len(found.tokens)) < 0.3).astype(np.int32)
    lists = visible_blocks(found.end, found.position, queries, 4, 8, window)
    check_lists(lists, dense_mask(found.end, found.position, queries, window), 4, 8, exact=False)


@pytest.mark.parametrize("tree", SHAPES.values(), ids=SHAPES)
def test_transposed_lists_hold_the_same_pairs(tree: TokenTree) -> None:
    found = packed(tree)
    lists = visible_blocks(
        found.end, found.position, np.arange(len(found.tokens), dtype=np.int32), 4, 8
    )

    def pairs(one: BlockLists, flip: bool) -> set[tuple[int, int, bool]]:
        seen = set()
        for i, split in enumerate(one.split):
            for at in range(one.offsets[i], one.offsets[i + 1]):
                j = int(one.blocks[at])
                seen.add((j, i, at < split) if flip else (i, j, at < split))
        assert len(seen) == len(one.blocks)
        return seen

    other = lists.transpose()
    assert pairs(lists, False) == pairs(other, True)
    rows = [other.blocks[a:b] for a, b in zip(other.offsets[:-1], other.split, strict=True)]
    assert all((np.diff(row) > 0).all() for row in rows)
    assert pairs(other.transpose(), False) == pairs(lists, False)


def test_views_outlive_their_owner_and_cannot_be_written() -> None:
    tree = random_tree(0, 50)
    tokens, lists = packed(tree).tokens, visible_blocks(ints(1), ints(0), ints(0), 1, 1)
    blocks = lists.blocks
    expected = tokens.tolist()
    del lists
    gc.collect()
    assert tokens.tolist() == expected and blocks.tolist() == [0]
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


REFUSED_PACKS = [
    ((ints(-1), ints(1, 2), ints(1)), "pack: 1 parents but 2 num_tokens"),
    (
        (ints(-1, 1), ints(1, 1), ints(1, 1)),
        "pack: the parent of node 1 must be -1 or a node before it, got 1",
    ),
    (
        (ints(-2), ints(1), ints(1)),
        "pack: the parent of node 0 must be -1 or a node before it, got -2",
    ),
    (
        (ints(-1, 0), ints(1, -1), ints(1)),
        "pack: num_tokens must not be negative, got -1 at node 1",
    ),
    ((ints(-1, 0), ints(1, 2), ints(1)), "pack: num_tokens add up to 3 but there are 1 tokens"),
    (
        (ints(-1, 0), ints(2**31 - 1, 1), ints(1)),
        "pack: at most 2147483647 tokens can be packed, got 2147483648",
    ),
    ((ints(-1), ints(1), np.ones((1, 1), np.int32)), "pack: tokens must have one dimension, got 2"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), REFUSED_PACKS, ids=[message for _, message in REFUSED_PACKS]
)
def test_refused_packs(arguments: tuple[Ints, Ints, Ints], message: str) -> None:
    with pytest.raises(PackError) as refusal:
        pack(*arguments)
    assert str(refusal.value) == message


CHAIN = (ints(3, 3, 3), ints(0, 1, 2), ints(0, 1, 2))
REFUSED_BLOCKS = [
    ((*CHAIN, 0, 1), "visible_blocks: blocks must be at least 1 by 1, got 0 by 1"),
    ((*CHAIN, 1, -1), "visible_blocks: blocks must be at least 1 by 1, got 1 by -1"),
    ((*CHAIN, 1, 1, 0), "visible_blocks: window must be at least 1, got 0"),
    ((ints(3, 3), *CHAIN[1:], 1, 1), "visible_blocks: 2 ends but 3 positions"),
    (
        (ints(3, 1, 3), *CHAIN[1:], 1, 1),
        "visible_blocks: the end of token 1 must be in 2..3, got 1",
    ),
    (
        (ints(2, 3, 3), *CHAIN[1:], 1, 1),
        "visible_blocks: the end of token 1 must be in 2..2, got 3",
    ),
    (
        (ints(3, 3, 4), *CHAIN[1:], 1, 1),
        "visible_blocks: the end of token 2 must be in 3..3, got 4",
    ),
    (
        (CHAIN[0], ints(0, -1, 0), CHAIN[2], 1, 1),
        "visible_blocks: positions must not be negative, got -1 at token 1",
    ),
    (
        (*CHAIN[:2], ints(0, 0), 1, 1),
        "visible_blocks: queries must ascend within 0..2, got 0 at index 1",
    ),
    (
        (*CHAIN[:2], ints(0, 3), 1, 1),
        "visible_blocks: queries must ascend within 0..2, got 3 at index 1",
    ),
    (
        (*CHAIN[:2], ints(-1), 1, 1),
        "visible_blocks: queries must ascend within 0..2, got -1 at index 0",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "message"), REFUSED_BLOCKS, ids=[message for _, message in REFUSED_BLOCKS]
)
def test_refused_block_lists(arguments: tuple[Ints, Ints, Ints, int, int], message: str) -> None:
    with pytest.raises(PackError) as refusal:
        visible_blocks(*arguments)
    assert str(refusal.value) == message


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        pack(np.array([-1]), ints(1), ints(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        visible_blocks([1], ints(0), ints(0), 1, 1)  # type: ignore[arg-type]


def test_a_long_chain_and_a_wide_forest_need_no_recursion() -> None:
    chain = token_tree([*range(-1, 50_000 - 1)], [1] * 50_000)
    assert packed(chain).position[-1] == 49_999
    wide = packed(token_tree([-1] * 50_000, [1] * 50_000))
    lists = visible_blocks(wide.end, wide.position, np.arange(50_000, dtype=np.int32), 64, 64)
    assert len(lists.blocks) == len(lists.split)
