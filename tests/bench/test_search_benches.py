"""The benches that look inside a search run."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import concurrency
import expansion
import memory
import pytest

DocumentOf = Callable[[ModuleType, str], dict[str, Any]]


def test_an_expansion_is_measured_by_part_and_in_the_forest() -> None:
    parts = expansion.measure_parts(children=3, expansions=50)
    assert all(microseconds >= 0 for microseconds in parts.values()) and sum(parts.values()) > 0
    forest = expansion.measure_forest(children=3, expansions=50)
    assert forest["calls"] >= 3
    assert 0 < forest["many_trees_us"] < forest["one_tree_us"]


def test_the_parts_of_the_memory_add_up(document_of: DocumentOf) -> None:
    found = document_of(memory, "--active 4 --candidates 3 --rollouts 2")
    assert found["trees"] == 4 and found["nodes"] > 4
    assert sum(found["parts"].values()) == pytest.approx(found["bytes_per_node"], abs=1.0)


def test_every_way_to_ask_a_slow_engine_grows_the_same_trees(document_of: DocumentOf) -> None:
    found = document_of(concurrency, "--quick --problems 18 --median 0.002")
    sides = found["sides"]
    assert list(sides) == ["lock step", "threads", "coroutines", "ideal"]
    (requests,) = {sides[side]["requests"] for side in concurrency.SIDES}
    assert requests >= 18 and 0 < sides["threads"]["in_flight"] <= 16
    assert all(sides[side]["in_flight"] <= sides[side]["open"] for side in concurrency.SIDES)
    assert sides["ideal"]["wall_s"] <= min(sides[side]["wall_s"] for side in concurrency.SIDES)
