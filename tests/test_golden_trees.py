"""The released code's finished trees, reproduced through the public ask/tell interface."""

import random

import pytest
from replay import search_record
from shared import shared_lines

from rstar_fast.tree import Tree


@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "shuffled"])
def test_recorded_trees_are_reproduced(shuffled: bool) -> None:
    records = shared_lines("trees.jsonl")
    assert len(records) == 24
    for i, record in enumerate(records):
        tree, replay = search_record(record, random.Random(i) if shuffled else None)
        assert isinstance(tree, Tree), tree
        assert sorted(replay.tags) == sorted(record["nodes"]), f"tree {i}: other nodes"
        for node, tag in zip(tree.nodes, replay.tags, strict=True):
            expected = record["nodes"][tag]
            assert node.visits == expected["visits"], f"tree {i}, node {tag}"
            assert node.q == pytest.approx(expected["q"], abs=1e-9), f"tree {i}, node {tag}"
            assert node.exhausted == expected["exhausted_or_terminal"], f"tree {i}, node {tag}"
            if node.end == "answer":
                assert node.answer == expected["final_answer"], f"tree {i}, node {tag}"
