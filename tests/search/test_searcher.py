"""The driver: every engine at its own pace, lazy problems, early ends, asyncio."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_engines import Policy, Runner, Scorer, plain, problems, searcher

from rstar_fast.errors import ProblemError, SearchError
from rstar_fast.problems import Problem
from rstar_fast.tree import Tree

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.mark.parametrize("strategy", ["mcts", "beam", "best_of_n"])
def test_same_seed_same_trees_whatever_the_batches_and_the_workers(strategy: str) -> None:
    first = plain(searcher(strategy=strategy).search(problems(12)))
    assert len(first) == 12 and sum(map(len, first.values())) > 12 * 8
    for batch, workers, max_active in itertools.product((1, 7, 64), (1, 2, 4), (3, 64)):
        again = searcher(
            Policy(batch), runner=Runner(workers), strategy=strategy, max_active=max_active
        )
        assert plain(again.search(problems(12))) == first


def test_engines_work_at_the_same_time() -> None:
    """A call of the policy, a batch of scores and a program can only end together."""
    meeting = threading.Barrier(3, timeout=300)
    calls = {"policy": itertools.count(), "scorer": itertools.count(), "program": itertools.count()}

    def meets(engine: str, call: int) -> None:
        if next(calls[engine]) == call:
            meeting.wait()

    policy, scorer = Policy(1, lambda _: meets("policy", 5)), Scorer(lambda _: meets("scorer", 0))

    def seconds(step: str) -> float:
        meets("program", 6)  # of the second problem or a later one, so that the first can be scored
        return 0.0

    with contextlib.closing(Runner(2, seconds)) as runner:
        assert len(plain(searcher(policy, scorer, runner).search(problems(8)))) == 8
    assert not meeting.broken and all(next(count) > 6 for count in calls.values())


def test_problems_are_drawn_as_places_are_free() -> None:
    drawn: list[str] = []

    def endless() -> Iterator[Problem]:
        for i in itertools.count():
            drawn.append(f"p{i}")
            yield Problem(f"p{i}", f"question {i}", ("3",))

    search = searcher(max_active=3).search(endless())
    for taken in range(1, 20):
        assert isinstance(next(search), Tree)
        assert len(drawn) <= taken + 3
    search.close()
    assert len(drawn) <= 23


def test_the_search_goes_on_while_problems_are_waited_for() -> None:
    one_is_done = threading.Event()

    def slow() -> Iterator[Problem]:
        yield from problems(1)
        assert one_is_done.wait(300)
        yield from problems(1, first=1)

    ids = []
    for tree in searcher().search(slow()):
        ids.append(tree.problem.id)
        one_is_done.set()
    assert ids == ["p0", "p1"]


def test_no_problems_no_trees() -> None:
    assert list(searcher().search([])) == []


def test_what_the_iterable_raises_comes_through() -> None:
    def bad() -> Iterator[Any]:
        yield from problems(2)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        list(searcher().search(bad()))
    with pytest.raises(ProblemError, match="expected Problem, got str"):
        list(searcher().search(["What is 1?"]))  # type: ignore[list-item]
    with pytest.raises(ProblemError, match="'p0' was added before"):
        list(searcher(max_active=1).search([*problems(1), *problems(1)]))


def test_a_closed_iterator_leaves_the_engines_free() -> None:
    policy = Policy(batch=1)
    one = searcher(policy)
    search = one.search(problems(50))
    next(search)
    search.close()
    assert policy.pending == 0
    assert plain(one.search(problems(5))) == plain(searcher().search(problems(5)))


def test_a_second_search_abandons_the_first() -> None:
    one = searcher()
    first = one.search(problems(50))
    next(first)
    assert len(plain(one.search(problems(3)))) == 3
    with pytest.raises(SearchError, match="another search was begun"):
        list(first)


def test_closing_the_searcher_ends_its_search() -> None:
    with searcher() as one:
        search = one.search(problems(50))
        next(search)
    assert len(list(search)) < 49


def test_asyncio() -> None:
    async def run() -> list[Any]:
        return [tree async for tree in searcher().asearch(problems(7))]

    assert plain(asyncio.run(run())) == plain(searcher().search(problems(7)))


def test_a_cancelled_task_ends_its_search() -> None:
    policy, ended = Policy(batch=1), []

    async def consume() -> None:
        async with contextlib.aclosing(searcher(policy).asearch(problems(1000))) as search:
            async for tree in search:
                ended.append(tree)

    async def run() -> None:
        task = asyncio.create_task(consume())
        while len(ended) < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert 3 <= len(ended) < 1000 and policy.pending == 0


def test_what_resources_did_is_counted() -> None:
    one = searcher()
    trees = [tree for tree in one.search(problems(6)) if isinstance(tree, Tree)]
    stats = one.stats.record()
    for resource, kind in {
        "policy": "expand",
        "scoring": "score",
        "execution": "run",
        "grading": "grade",
    }.items():
        row = stats["resources"][resource]
        assert row["requests"] == sum(tree.counts.get(f"{kind}_requests", 0) for tree in trees) > 0
        assert row["busy_s"] >= 0 and 0 <= row["starved_s"] <= stats["wall_s"] + 0.002
    assert stats["resources"]["policy"]["mean_batch"] >= 1
    assert one.stats.resources["policy"].open == 0
