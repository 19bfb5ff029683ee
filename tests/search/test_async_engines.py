"""Policies and PPMs that answer each request for itself."""

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from async_engines import Coroutines, Futures, judged, written
from scripted_engines import Policy, plain, problems, searcher

from rstar_fast import Failure, FunctionPolicy, Tree
from rstar_fast.errors import OutageError, PolicyError, ScoreError
from rstar_fast.policy import Expansion
from rstar_fast.policy.base import PolicyStats
from rstar_fast.ppm import Scores
from rstar_fast.problems import Problem
from rstar_fast.remote import retries
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder

WAIT_S = 120


pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture(scope="module")
def calm() -> dict[str, Any]:
    """The trees that lock step gives: one request at a time."""
    return plain(searcher(Policy(batch=1), max_active=1).search(problems(8)))


@pytest.mark.parametrize("kind", [Futures, Coroutines])
@pytest.mark.parametrize("options", [{}, {"leaves_per_tree": 3}, {"strategy": "beam"}])
def test_trees_do_not_depend_on_the_order_of_arrival(kind: Any, options: dict[str, Any]) -> None:
    expected = plain(searcher(Policy(batch=1), max_active=1, **options).search(problems(8)))
    for seed, max_active in itertools.product((1, 2), (3, 64)):
        one = searcher(kind(written, seed), kind(judged, seed), max_active=max_active, **options)
        assert plain(one.search(problems(8))) == expected


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("batch", "concurrency"), [(0, 1), (0, 8), (1, 3), (7, 2), (None, 32)])
def test_a_function_gives_the_same_trees_in_any_batches(
    is_async: bool, batch: int | None, concurrency: int, calm: dict[str, Any]
) -> None:
    delays = random.Random(0)

    def answer(given: Any) -> Any:
        if batch is None:
            return written(given).candidates
        assert not batch or len(given) <= batch
        return [written(one).candidates for one in given]

    def write(given: Any) -> Any:
        time.sleep(delays.random() * 0.004)
        return answer(given)

    async def write_async(given: Any) -> Any:
        await asyncio.sleep(delays.random() * 0.004)
        return answer(given)

    policy = FunctionPolicy(write_async if is_async else write, concurrency, batch)
    assert plain(searcher(policy, max_active=6).search(problems(8))) == calm


def test_under_asyncio(calm: dict[str, Any]) -> None:
    async def run() -> list[Any]:
        one = searcher(Coroutines(written), Futures(judged))
        return [tree async for tree in one.asearch(problems(8))]

    assert plain(asyncio.run(run())) == calm


def test_a_searcher_searches_again(calm: dict[str, Any]) -> None:
    policy = Coroutines(written)
    one = searcher(policy, Coroutines(judged))
    for _ in range(2):
        assert plain(one.search(problems(8))) == calm
    assert policy.threads == {"coroutines of a search"}


def test_all_requests_are_in_flight_at_once() -> None:
    """They are answered only once there is one for each problem."""
    together: list[Future[Any]] = []

    class Waits:
        name, stats = "waits", PolicyStats()

        def submit(self, request: Any) -> "Future[Expansion]":
            future: Future[Expansion] = Future()
            future.result_of = request  # type: ignore[attr-defined]
            together.append(future)
            if len(together) == 12:
                for one in together:
                    one.set_result(written(one.result_of))  # type: ignore[attr-defined]
                together.clear()
            return future

    one = searcher(Waits(), max_active=12, strategy="greedy", candidates=2, max_depth=1)
    assert len(plain(one.search(problems(24)))) == 24
    activity = one.stats.resources["policy"]
    assert (activity.requests, activity.open) == (48, 0)


def test_open_requests_are_counted_over_time() -> None:
    took: list[float] = []

    async def write(given: Any) -> Any:
        begun = time.perf_counter()
        await asyncio.sleep(0.003)
        took.append(time.perf_counter() - begun)
        return written(given).candidates

    one = searcher(FunctionPolicy(write, batch=None), max_active=6)
    trees = [tree for tree in one.search(problems(6)) if isinstance(tree, Tree)]
    record = one.stats.record()
    row, wall_s = record["resources"]["policy"], record["wall_s"]
    assert row["requests"] == sum(tree.counts["expand_requests"] for tree in trees) == len(took)
    assert row["mean_open"] * wall_s >= sum(took) * 0.98
    assert row["mean_open"] <= 6
    assert max(took) <= row["busy_s"] and row["busy_s"] + row["starved_s"] <= wall_s + 0.002


def bad(answer: Callable[[Any], Any], of_victim: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda request: (of_victim if request.problem_id == "p1" else answer)(request)


def raises(request: Any) -> Any:
    raise ValueError("no")


def exits(request: Any) -> Any:
    raise SystemExit(3)


@pytest.mark.parametrize("kind", [Futures, Coroutines])
@pytest.mark.parametrize("of_victim", [
    raises,
    exits,
    lambda request: None,
    lambda request: Scores(request.id, []),  # type: ignore[arg-type]
    lambda request: Expansion(request.id + 1, written(request).candidates),
    lambda request: Expansion(None, written(request).candidates),  # type: ignore[arg-type]
    lambda request: Expansion(request.id, error="too long"),
    lambda request: Expansion(request.id),
])  # fmt: skip
def test_a_bad_expansion_fails_its_own_problem(
    kind: Any, of_victim: Any, calm: dict[str, Any]
) -> None:
    one = searcher(kind(bad(written, of_victim)))
    check_victim(list(one.search(problems(8))), calm, "the policy")
    assert one.stats.resources["policy"].open == 0


@pytest.mark.parametrize("kind", [Futures, Coroutines])
@pytest.mark.parametrize("of_victim", [
    raises,
    lambda request: None,
    lambda request: Expansion(request.id),
    lambda request: Scores(request.id + 1, judged(request).values),
    lambda request: Scores(request.id, judged(request).values * 9),
])  # fmt: skip
def test_bad_scores_fail_their_own_problem(kind: Any, of_victim: Any, calm: dict[str, Any]) -> None:
    one = searcher(scorer=kind(bad(judged, of_victim)))
    check_victim(list(one.search(problems(8))), calm, "the PPM")


def check_victim(ended: list[Any], calm: dict[str, Any], engine: str) -> None:
    (failure,) = (one for one in ended if isinstance(one, Failure))
    assert failure.problem.id == "p1" and engine in failure.reason
    trees = {one.problem.id: one.nodes for one in ended if isinstance(one, Tree)}
    assert trees == {key: nodes for key, nodes in calm.items() if key != "p1"}


@pytest.mark.parametrize("answer", [None, 5, "text"])
def test_an_engine_that_gives_no_future(answer: Any, calm: dict[str, Any]) -> None:
    class Bad(Futures):
        def submit(self, request: Any) -> Any:
            return answer if request.problem_id == "p1" else super().submit(request)

    check_victim(list(searcher(Bad(written)).search(problems(8))), calm, "expected a Future")


def test_a_submit_that_raises(calm: dict[str, Any]) -> None:
    class Bad(Futures):
        def submit(self, request: Any) -> Any:
            return raises(request) if request.problem_id == "p1" else super().submit(request)

    check_victim(list(searcher(Bad(written)).search(problems(8))), calm, "ValueError: no")


def test_what_fails_once_is_asked_again(calm: dict[str, Any]) -> None:
    seen: set[int] = set()

    def first_fails(request: Any) -> Expansion:
        if request.id not in seen:
            seen.add(request.id)
            raise ValueError("no")
        return written(request)

    assert plain(searcher(Coroutines(first_fails)).search(problems(8))) == calm


def test_a_broken_engine_ends_the_search() -> None:
    with pytest.raises(PolicyError, match=r"the policy failed on 8 requests in a row.*ValueError"):
        list(searcher(Futures(raises)).search(problems(30)))
    with pytest.raises(ScoreError, match=r"the PPM failed on 8 requests in a row.*ValueError"):
        list(searcher(scorer=Futures(raises)).search(problems(30)))


def test_an_engine_that_is_not_there_for_too_long_ends_the_search_and_fails_nothing() -> None:
    def gone(request: Any) -> Any:
        raise OutageError("not there for hours")

    ended: list[Any] = []
    with pytest.raises(OutageError, match="for hours"):
        ended.extend(searcher(Futures(gone)).search(problems(30)))
    assert ended == []


@pytest.mark.parametrize("concurrency", [1, 8])
def test_an_outage_pauses_a_search_and_fails_nothing(
    concurrency: int,
    calm: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(retries, "LONGEST_DELAY_S", 0.002)
    calls = itertools.count()

    def write(given: Any) -> Any:
        # More failures than the budgets of all requests under way.
        if 20 <= next(calls) < 150:
            raise ConnectionRefusedError("nobody is there")
        return written(given).candidates

    policy = FunctionPolicy(write, concurrency, batch=None, name="mine")
    assert plain(searcher(policy).search(problems(8))) == calm
    begun, ended = [record.getMessage() for record in caplog.records]
    assert begun.startswith("policy mine does not answer (ConnectionRefusedError: nobody is there)")
    assert ended.startswith("policy mine answers again, after ")


class TwoLeaves:
    """Of each expansion of two leaves it fails one, and never answers the other."""

    name = "two leaves"

    def __init__(self, stubborn: bool = False) -> None:
        self.stats = PolicyStats()
        self.left_open: dict[int, Future[Any]] = {}
        self.late: list[Any] = []
        self._stubborn = stubborn

    def submit(self, request: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if request.problem_id != "p1" or not request.path:
            future.set_result(written(request))
        elif not self.left_open:
            if self._stubborn:
                future.set_running_or_notify_cancel()
            self.left_open[request.id] = future
            self.late.append(request)
        else:
            future.set_result(Expansion(request.id, error="too long"))
        return future


def test_a_request_whose_problem_has_failed_is_cancelled() -> None:
    policy, seen = TwoLeaves(), threading.Event()

    def one_by_one() -> Iterator[Problem]:
        yield from problems(1, first=1)
        # The search is not over yet.
        assert seen.wait(WAIT_S)
        yield from problems(1)

    one = searcher(policy, leaves_per_tree=4, rollouts=8)
    search = one.search(one_by_one())
    assert isinstance(next(search), Failure)
    (future,) = policy.left_open.values()
    assert future.cancelled()
    assert one.stats.resources["policy"].open == 0
    seen.set()
    assert isinstance(next(search), Tree)
    search.close()


def test_a_late_answer_of_a_failed_problem_is_dropped() -> None:
    policy = TwoLeaves(stubborn=True)
    one = searcher(policy, leaves_per_tree=4, rollouts=8, max_active=2)
    ended: list[Any] = []
    for tree in one.search(problems(12)):
        ended.append(tree)
        if isinstance(tree, Failure):
            # The search goes on, and the engine answers after all.
            (future,) = policy.left_open.values()
            future.set_result(written(policy.late[0]))
    assert len(ended) == 12 and sum(isinstance(tree, Failure) for tree in ended) == 1
    assert one.stats.resources["policy"].open == 0


class Never:
    name = "never"

    def __init__(self) -> None:
        self.stats = PolicyStats()
        self.futures: list[Future[Any]] = []
        self.asked = threading.Event()

    def submit(self, request: Any) -> "Future[Any]":
        self.futures.append(Future())
        self.asked.set()
        return self.futures[-1]


@pytest.mark.parametrize("engine", ["policy", "scorer"])
def test_a_search_that_ends_cancels_its_requests(engine: str) -> None:
    hangs = Never()
    one = searcher(**{engine: hangs}, max_active=4)
    taken = threading.Thread(target=lambda: list(one.search(problems(4))))
    taken.start()
    assert hangs.asked.wait(WAIT_S)
    one.close()
    taken.join(WAIT_S)
    assert not taken.is_alive()
    assert hangs.futures and all(future.cancelled() for future in hangs.futures)


def test_a_search_may_be_closed_by_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that begins the search has not come back from starting its threads yet."""
    asked, begin = threading.Event(), threading.Thread.start

    def slow_to_return(thread: threading.Thread) -> None:
        begin(thread)
        if thread.name == "trees of a search":
            assert asked.wait(WAIT_S)

    class Closes(Never):
        def submit(self, request: Any) -> "Future[Any]":
            active.append(one.progress().num_active)
            one.close()
            asked.set()
            return super().submit(request)

    active: list[int] = []
    one = searcher(Closes())
    monkeypatch.setattr(threading.Thread, "start", slow_to_return)
    assert list(one.search(problems(1))) == []
    assert active == [1]


def test_a_search_that_ends_cancels_its_coroutines() -> None:
    begun, ended = threading.Event(), threading.Event()

    class Hangs:
        name, stats = "hangs", PolicyStats()

        async def submit(self, request: Any) -> Expansion:
            begun.set()
            try:
                await asyncio.sleep(1e6)
            finally:
                ended.set()
            raise AssertionError

    async def run() -> None:
        search = searcher(Hangs()).asearch(problems(3))
        task = asyncio.create_task(anext(search))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended.wait(WAIT_S)


def to_folder(folder: Path, policy: Any, scorer: Any, stop_at: float = float("inf")) -> None:
    with RunFolder.open(folder, {}) as run, searcher(policy, scorer, max_depth=7) as one:
        # A search that is stopped has not had the last problem, however late the stop comes.
        given = problems(6 if stop_at == float("inf") else 5)
        search = search_to_folder(one, given, run)
        for number, _ in enumerate(search, 1):
            if number >= stop_at:
                search.close()


@pytest.mark.parametrize("kind", [Futures, Coroutines])
def test_a_search_goes_on_where_it_was(kind: Any, tmp_path: Path) -> None:
    asked: list[Any] = []

    def asks(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def note(request: Any) -> Any:
            asked.append((type(request), request.problem_id, request.node))
            return answer(request)

        return note

    to_folder(tmp_path / "whole", kind(asks(written)), kind(asks(judged)))
    in_one_go, asked = len(asked), []
    to_folder(tmp_path / "run", kind(asks(written)), kind(asks(judged)), stop_at=2)
    stopped = len(asked)
    to_folder(tmp_path / "run", kind(asks(written)), kind(asks(judged)))
    assert {tree.problem.id: tree.nodes for tree in RunFolder.read(tmp_path / "run").trees()} == {
        tree.problem.id: tree.nodes for tree in RunFolder.read(tmp_path / "whole").trees()
    }
    assert stopped < in_one_go
    # At most what was under way at the stop is asked again.
    assert in_one_go <= len(asked) <= in_one_go + 6 + 6


def test_what_was_answered_before_the_stop_is_recorded(tmp_path: Path) -> None:
    """An answer arrives while the thread of the trees is busy with the end."""
    stop, begun = threading.Event(), threading.Event()
    asked: list[tuple[str, int]] = []

    class Once(Futures):
        def submit(self, request: Any) -> "Future[Any]":
            asked.append((request.problem_id, request.node))
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel()
            if request.node == 0:
                # The last thing before the search sees that it is to stop.
                begun.set()
                assert stop.wait(WAIT_S)
            future.set_result(written(request))
            return future

    with RunFolder.open(tmp_path, {}) as run, searcher(Once(written)) as one:
        search = search_to_folder(one, problems(1), run)
        taken = threading.Thread(target=lambda: list(search))
        taken.start()
        assert begun.wait(WAIT_S)
        session = one._session
        assert session is not None
        session.stop()
        stop.set()
        taken.join(WAIT_S)
    assert asked == [("p0", 0)]
    to_folder(tmp_path, Once(written), Futures(judged))
    assert asked.count(("p0", 0)) == 1
