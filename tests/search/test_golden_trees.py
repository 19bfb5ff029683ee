"""The released code's finished trees, reproduced through the public ask/tell interface."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from golden import golden_lines
from replay import search_record

from rstar_fast._core import Forest, simd_levels, use_simd_level
from rstar_fast.search import search
from rstar_fast.tree import Tree

COPIES = 4096
"""Enough for a call to use four threads."""


@pytest.fixture(autouse=True)
def fastest_again() -> Iterator[None]:
    yield
    use_simd_level(simd_levels()[0])


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "shuffled"])
def test_recorded_trees_are_reproduced(shuffled: bool, level: str) -> None:
    use_simd_level(level)
    records = golden_lines("trees.jsonl")
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


class Recorder:
    """A forest that notes the calls made to it, with what they gave."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.calls: list[tuple[str, list[Any], dict[str, Any], Any]] = []
        self._forest = Forest(*sizes)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._forest, name)

        def call(*arguments: Any, **options: Any) -> Any:
            given = [
                argument.copy() if isinstance(argument, np.ndarray) else argument
                for argument in arguments
            ]
            answer = method(*arguments, **options)
            self.calls.append((name, given, options, answer))
            return answer

        return call


def repeated(forest: Forest, calls: list[tuple[str, list[Any], dict[str, Any], Any]]) -> None:
    """Repeat the calls of tree 0 in all trees of a forest at once, and hold all results equal."""
    trees = forest.new_trees(COPIES)
    offsets = trees[:, None] * np.int32(forest.nodes_per_tree)
    for name, arguments, options, answer in calls:
        if name in ("select", "expand", "backup", "add", "set_terminal"):
            nodes, *numbers = (
                np.tile(one, COPIES) if isinstance(one, np.ndarray) else one for one in arguments
            )
            nodes += np.repeat(offsets, len(arguments[0]))
            answers = getattr(forest, name)(nodes, *numbers, **options)
            if answer is not None:
                ids, *moves = answers if isinstance(answers, tuple) else (answers,)
                expected, *moves_expected = answer if isinstance(answer, tuple) else (answer,)
                assert (
                    ids.reshape(COPIES, -1) == np.where(expected < 0, expected, expected + offsets)
                ).all(), name
                assert np.array_equal(moves, np.tile(moves_expected, COPIES)), name
        elif name in ("visits", "q", "terminal"):
            assert all(
                np.array_equal(getattr(forest, name)(tree), answer) for tree in trees.tolist()
            ), name


@pytest.mark.slow
def test_recorded_trees_are_reproduced_in_batches_by_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i, record in enumerate(golden_lines("trees.jsonl")):
        recorders: list[Recorder] = []

        def recorder(*sizes: int, made: list[Recorder] = recorders) -> Recorder:
            made.append(Recorder(*sizes))
            return made[-1]

        monkeypatch.setattr(search, "Forest", recorder)
        search_record(record)
        ((_, nodes_per_tree), calls) = recorders[0].sizes, recorders[0].calls
        assert {"select", "expand", "backup", "visits", "q", "terminal"} <= {
            name for name, *_ in calls
        }
        levels = simd_levels()
        use_simd_level(levels[i % len(levels)])
        forest = Forest(COPIES, nodes_per_tree)
        forest.threads = (1, 2, 4)[i // len(levels) % 3]
        repeated(forest, calls)
