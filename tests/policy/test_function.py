"""A policy that is made of a function: its calls, their number, and what goes wrong with them."""

import asyncio
import functools
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tiny_models import request

from rstar_fast.errors import ConfigError, PolicyError, TransientError
from rstar_fast.policy import Candidate, ExpandRequest, Expansion, FunctionPolicy
from rstar_fast.remote import retries
from rstar_fast.steps import Segment

WAIT_S = 120


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(retries, "LONGEST_DELAY_S", 0.004)


def answers(policy: FunctionPolicy, requests: list[ExpandRequest]) -> list[Expansion]:
    futures = [policy.submit(one) for one in requests]
    return [future.result(WAIT_S) for future in futures]


def echo(asks: list[ExpandRequest]) -> list[list[str]]:
    return [[f"{one.id}"] for one in asks]


async def echo_async(asks: list[ExpandRequest]) -> list[list[str]]:
    return echo(asks)


def echo_one(ask: ExpandRequest) -> list[str]:
    return [f"{ask.id}"]


async def echo_one_async(ask: ExpandRequest) -> list[str]:
    return echo_one(ask)


class Callable_:
    async def __call__(self, asks: list[ExpandRequest]) -> list[list[str]]:
        return echo(asks)


@pytest.mark.parametrize(
    ("function", "batch"),
    [
        (echo, 0),
        (echo, 3),
        (echo_async, 0),
        (echo_async, 1),
        (echo_one, None),
        (echo_one_async, None),
        (Callable_(), 0),
        (functools.partial(echo_async), 0),
        (lambda asks: echo_async(asks), 2),
    ],
)
def test_functions_of_all_kinds(function: Any, batch: int | None) -> None:
    done = answers(FunctionPolicy(function, batch=batch), [request(i) for i in range(10)])
    assert [one.request_id for one in done] == list(range(10))
    assert [one.candidates[0].text for one in done] == [f"{i}" for i in range(10)]


def test_candidates_with_tokens_are_counted() -> None:
    policy = FunctionPolicy(
        lambda asks: [["x", Candidate("y", (1, 2), (-0.5, -1.0))] for _ in asks], name="mine"
    )
    done = answers(policy, [request(i, n=2) for i in range(3)])
    assert [c.text for c in done[2].candidates] == ["x", "y"]
    assert policy.stats.generated_tokens == 6
    assert policy.name == "mine" and FunctionPolicy(echo).name == "echo"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("text", "expected a list of candidates, got str"),
        (None, "got NoneType"),
        ([1], "candidate 0: expected a str or a Candidate, got int"),
        ([], "expected 1 to 2 candidates, got 0"),
        (["a"] * 3, "expected 1 to 2 candidates, got 3"),
        ([Candidate("a", (1,), (-1.0, -2.0))], "1 token ids and 2 logprobs"),
        ([Candidate("a", (1,), (float("nan"),))], "expected finite log-probabilities"),
    ],
)
@pytest.mark.parametrize("batch", [0, None])
def test_a_wrong_answer(answer: object, message: str, batch: int | None) -> None:
    function: Any = (lambda _: answer) if batch is None else (lambda asks: [answer])
    (done,) = answers(FunctionPolicy(function, batch=batch, name="mine"), [request(0, n=2)])
    assert done.error is not None and message in done.error and "mine" in done.error


@pytest.mark.parametrize("answers_given", [None, "a", [["a"]] * 3, 7, {"a": 1}])
def test_a_wrong_shape(answers_given: object) -> None:
    policy = FunctionPolicy(lambda _: answers_given, name="mine")  # type: ignore[arg-type, return-value]
    future = policy.submit(request(0))
    with pytest.raises(PolicyError, match="mine: expected one list of candidates for each of 1 re"):
        future.result(WAIT_S)


def test_so_many_threads_at_once() -> None:
    # Three calls can only go on together.
    meeting = threading.Barrier(3, timeout=WAIT_S)
    lock = threading.Lock()
    inside, most = 0, 0

    def write(ask: ExpandRequest) -> list[str]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        meeting.wait()
        with lock:
            inside -= 1
        return ["x"]

    answers(FunctionPolicy(write, concurrency=3, batch=None), [request(i) for i in range(12)])
    assert most == 3


def test_so_many_coroutines_at_once() -> None:
    meeting = asyncio.Barrier(3)
    inside, most = 0, 0

    async def write(ask: ExpandRequest) -> list[str]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await meeting.wait()
        inside -= 1
        return ["x"]

    answers(FunctionPolicy(write, concurrency=3, batch=None), [request(i) for i in range(12)])
    assert most == 3


@pytest.mark.parametrize(("batch", "expected"), [(0, [1, 6]), (4, [1, 4, 2]), (1, [1] * 7)])
def test_a_call_gets_all_that_waits(batch: int, expected: list[int]) -> None:
    begun, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def write(asks: list[ExpandRequest]) -> list[list[str]]:
        sizes.append(len(asks))
        begun.set()
        assert go_on.wait(WAIT_S)
        return echo(asks)

    policy = FunctionPolicy(write, concurrency=1, batch=batch)
    first = policy.submit(request(0))
    assert begun.wait(WAIT_S)
    rest = [policy.submit(request(i)) for i in range(1, 7)]
    until_all_wait(policy, 6)
    go_on.set()
    assert [one.result(WAIT_S).candidates[0].text for one in [first, *rest]] == list("0123456")
    assert sizes == expected


def until_all_wait(policy: FunctionPolicy, number: int) -> None:
    while len(policy._calls._waiting) < number:
        time.sleep(0.001)


def holding_first(function: Callable[[Any], Any]) -> tuple[FunctionPolicy, threading.Event]:
    """A policy of one call at a time, whose first call, of request 0, lasts until the event."""
    begun, go_on = threading.Event(), threading.Event()

    def write(asks: list[ExpandRequest]) -> Any:
        if asks[0].id == 0:
            begun.set()
            assert go_on.wait(WAIT_S)
        return function(asks)

    policy = FunctionPolicy(write, concurrency=1)
    policy.submit(request(0))
    assert begun.wait(WAIT_S)
    return policy, go_on


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, StopIteration])
def test_a_bad_request_costs_no_other_of_its_call(error: type[BaseException]) -> None:
    sizes: list[int] = []

    def write(asks: list[ExpandRequest]) -> list[list[str]]:
        sizes.append(len(asks))
        if any(one.id == 3 for one in asks):
            raise error("not 3")
        return echo(asks)

    policy, go_on = holding_first(write)
    futures = {i: policy.submit(request(i)) for i in range(1, 7)}
    until_all_wait(policy, 6)
    go_on.set()
    with pytest.raises((ValueError, PolicyError), match="not 3"):
        futures.pop(3).result(WAIT_S)
    assert all(future.result(WAIT_S).candidates for future in futures.values())
    assert sizes == [1, 6, 1, 1, 1, 1, 1, 1]


def test_an_async_function_that_raises_anything() -> None:
    errors = iter([SystemExit(3), asyncio.CancelledError("x"), ValueError("x")])

    async def write(ask: ExpandRequest) -> list[str]:
        if (error := next(errors, None)) is not None:
            raise error
        return ["x"]

    policy = FunctionPolicy(write, batch=None)
    for message in ("SystemExit: 3", "CancelledError: x", "x"):
        with pytest.raises((PolicyError, ValueError), match=message):
            policy.submit(request(0)).result(WAIT_S)
    assert policy.submit(request(1)).result(WAIT_S).candidates


@pytest.mark.parametrize("error", [TransientError("429"), ConnectionError("gone"), TimeoutError()])
@pytest.mark.parametrize("batch", [0, None])
def test_passing_faults_are_tried_again(error: Exception, batch: int | None) -> None:
    calls = 0

    def write(given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise error
        return echo(given) if batch == 0 else echo_one(given)

    policy = FunctionPolicy(write, concurrency=1, batch=batch)
    done = answers(policy, [request(i) for i in range(5)])
    assert [one.candidates[0].text for one in done] == list("01234")


def test_a_request_that_always_times_out_holds_up_no_other() -> None:
    def write(asks: list[ExpandRequest]) -> list[list[str]]:
        if any(one.id == 3 for one in asks):
            raise TimeoutError("3 takes too long")
        return echo(asks)

    policy, go_on = holding_first(write)
    futures = {i: policy.submit(request(i)) for i in range(1, 7)}
    until_all_wait(policy, 6)
    go_on.set()
    stuck = futures.pop(3)
    assert all(future.result(WAIT_S).candidates for future in futures.values())
    # Others are answered, so that it is no outage.
    number = 7
    while not stuck.done():
        policy.submit(request(number)).result(WAIT_S)
        number += 1
    error = stuck.result(0).error
    assert error is not None and error.endswith("TimeoutError: 3 takes too long")


def test_a_request_that_fails_its_call_again_and_again_is_called_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All are repeated at the same time, and so together.
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.0)
    calls: list[list[int]] = []

    def write(asks: list[ExpandRequest]) -> list[list[str]]:
        calls.append([one.id for one in asks])
        if any(one.id == 3 for one in asks):
            raise TimeoutError("3 takes too long")
        return echo(asks)

    policy, go_on = holding_first(write)
    monkeypatch.setattr(retries, "OUTAGE_AFTER", 10**9)
    futures = {i: policy.submit(request(i)) for i in range(1, 7)}
    until_all_wait(policy, 6)
    go_on.set()
    error = futures.pop(3).result(WAIT_S).error
    assert error is not None and error.endswith("TimeoutError: 3 takes too long")
    assert all(future.result(WAIT_S).candidates for future in futures.values())
    assert calls[3:9] == [[1], [2], [3], [4], [5], [6]]


def test_a_cancelled_request_is_not_called() -> None:
    called: list[int] = []

    def write(asks: list[ExpandRequest]) -> list[list[str]]:
        called.extend(one.id for one in asks)
        return echo(asks)

    policy, go_on = holding_first(write)
    futures = [policy.submit(request(i)) for i in range(1, 4)]
    until_all_wait(policy, 3)
    assert futures[1].cancel()
    # The cancellation is there before the next request.
    last = policy.submit(request(9))
    until_all_wait(policy, 4)
    go_on.set()
    assert last.result(WAIT_S) and futures[0].result(WAIT_S) and futures[2].result(WAIT_S)
    assert called == [0, 1, 3, 9]


def test_a_coroutine_whose_requests_are_cancelled_is_cancelled() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def write(ask: ExpandRequest) -> list[str]:
        if ask.id:
            return ["x"]
        begun.set()
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.set()
        raise AssertionError

    policy = FunctionPolicy(write, concurrency=1, batch=None)
    future = policy.submit(request(0))
    assert begun.wait(WAIT_S) and future.cancel() and ended.wait(WAIT_S)
    # Its place is free again.
    assert policy.submit(request(1)).result(WAIT_S).candidates


def test_the_place_of_a_thread_is_taken_until_it_ends() -> None:
    inside, most = 0, 0
    go_on, begun = threading.Event(), threading.Event()

    def write(ask: ExpandRequest) -> list[str]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        begun.set()
        assert go_on.wait(WAIT_S)
        inside -= 1
        return ["x"]

    policy = FunctionPolicy(write, concurrency=1, batch=None)
    first = policy.submit(request(0))
    assert begun.wait(WAIT_S) and first.cancel()
    second = policy.submit(request(1))
    until_all_wait(policy, 1)
    go_on.set()
    assert second.result(WAIT_S).candidates and most == 1


def test_async_functions_are_called_in_one_loop() -> None:
    loops: set[Any] = set()

    async def write(asks: list[ExpandRequest]) -> list[list[str]]:
        loops.add(asyncio.get_running_loop())
        return echo(asks)

    policy = FunctionPolicy(write)
    answers(policy, [request(0)])
    answers(policy, [request(1)])
    assert len(loops) == 1


def test_its_thread_ends_with_it() -> None:
    policy = FunctionPolicy(echo, name="short-lived")
    answers(policy, [request(0)])
    (thread,) = (one for one in threading.enumerate() if one.name == "policy short-lived")
    del policy
    while thread.is_alive():
        gc.collect()
        time.sleep(0.001)


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("end", ["alone", "in a search"])
def test_a_call_that_sleeps_for_ever_does_not_keep_the_interpreter(kind: str, end: str) -> None:
    code = f"""
import threading, time
from rstar_fast import FunctionPolicy, Problem, SearchConfig, Searcher
from rstar_fast.policy import ExpandRequest, Sampling
begun = threading.Event()
{kind} write(requests):
    begun.set()
    time.sleep(1e6)
policy = FunctionPolicy(write)
if {end!r} == "alone":
    policy.submit(ExpandRequest(0, "p", 0, "q", (), 1, 0, Sampling()))
else:
    config = SearchConfig(use_scores=False, annotate_terminals_with_ground_truth=True)
    def search():
        list(Searcher(policy, config).search([Problem("p", "q", "1")]))
    threading.Thread(target=search, daemon=True).start()
assert begun.wait({WAIT_S})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"concurrency": None}, {"batch": -1}])
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FunctionPolicy(echo, **wrong)


def test_the_text_that_a_request_continues() -> None:
    path = [Segment("<code>\nx = 1\n<end_of_step>")]
    of = {"question": "Is < less?", "path": path}
    tuned, shown = (
        request(0, **of),
        ExpandRequest(**{**fields(request(0, **of)), "prompt": "few_shot"}),
    )
    assert tuned.text.startswith("<|user|>:\nIs < less?\n<|assistant|>:")
    assert tuned.text.endswith(path[0].text) and tuned.lead == ""
    assert shown.text.endswith("Question: Is < less?\n" + path[0].text + "\n")
    assert shown.lead == "\n"
    first = ExpandRequest(**{**fields(request(0)), "prompt": "few_shot"})
    assert first.lead == "" and first.text.endswith("Question: How many?\n")


def fields(one: ExpandRequest) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def test_what_an_engine_needs_is_public() -> None:
    from rstar_fast import policy
    from rstar_fast.prompts import make_prompt, step_lead
    from rstar_fast.seeding import draw_key

    assert (policy.make_prompt, policy.step_lead, policy.draw_key) == (
        make_prompt,
        step_lead,
        draw_key,
    )
    assert request(0, node=4).draw_key(2) == draw_key(0, "pHow many?", 4, 2)
