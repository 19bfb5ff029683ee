"""Long programs of sympy give the same observations from snapshots and from their beginning."""

from collections.abc import Iterator
from typing import Any

import pytest
from golden import golden_lines

from rstar_fast.verify import Executor, Limits, Status

TRACES = golden_lines("traces.jsonl")
LIMITS = Limits(wall_s=60)


@pytest.fixture(scope="module")
def from_snapshots() -> Iterator[Executor]:
    with Executor(workers=1, limits=LIMITS) as executor:
        yield executor


@pytest.fixture(scope="module")
def from_the_beginning() -> Iterator[Executor]:
    with Executor(workers=2, limits=LIMITS, snapshot_bytes=0) as executor:
        yield executor


@pytest.mark.parametrize("trace", TRACES, ids=[trace["name"] for trace in TRACES])
def test_every_step_shows_the_same(
    from_snapshots: Executor, from_the_beginning: Executor, trace: dict[str, Any]
) -> None:
    programs = [trace["steps"][: n + 1] for n in range(len(trace["steps"]))]
    one_by_one = [from_snapshots.run(program) for program in programs]
    replayed = from_the_beginning.run_many(programs)
    assert [one.text for one in one_by_one] == [one.text for one in replayed]
    assert {one.status for one in one_by_one + replayed} == {Status.OK}
    assert one_by_one[-1].text
    # Each step ran once: the first executor kept a snapshot after every step.
    assert from_snapshots.report()["num_snapshots"] >= len(programs) - 1
