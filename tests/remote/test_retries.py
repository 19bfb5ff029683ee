"""Requests that are repeated, and outages."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rstar_fast.errors import ConfigError, OutageError, RStarError, TransientError
from rstar_fast.remote import Retries, retries
from rstar_fast.remote.retries import OUTAGE_AFTER

Attempt = Callable[[], Awaitable[str]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(retries, "LONGEST_DELAY_S", 0.004)


class Server:
    """Answers, or raises `fault` while there is one. Counts calls, and how many are under way."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.calls = 0
        self.under_way = 0
        self.most = 0

    async def ask(self) -> str:
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.002)
        self.under_way -= 1
        if self.fault is not None:
            raise self.fault
        return "yes"


def failing(*faults: Exception | None) -> Attempt:
    """An attempt that raises these faults by turns; None is an answer."""
    left = list(faults)

    async def attempt() -> str:
        fault = left.pop(0)
        if fault is not None:
            raise fault
        return "yes"

    return attempt


async def answers(one: Retries, until: asyncio.Event) -> None:
    """Keep the engine answering, so that there is no outage."""
    while not until.is_set():
        await one.call(failing(None))
        await asyncio.sleep(0)


async def beside_others(one: Retries, attempt: Attempt) -> str:
    """Call while other requests are answered."""
    done = asyncio.Event()
    others = asyncio.create_task(answers(one, done))
    try:
        return await one.call(attempt)
    finally:
        done.set()
        await others


@pytest.mark.parametrize(
    "fault", [TransientError("busy"), ConnectionResetError("gone"), TimeoutError()]
)
def test_passing_faults_are_repeated(fault: Exception) -> None:
    assert asyncio.run(Retries("it").call(failing(fault, fault, None))) == "yes"


def test_other_faults_are_not() -> None:
    with pytest.raises(ValueError, match="no"):
        asyncio.run(Retries("it").call(failing(ValueError("no"), None)))


def test_a_budget_ends_with_the_last_words() -> None:
    words = [TransientError(f"busy {i}") for i in range(5)]
    with pytest.raises(TransientError, match="busy 4"):
        asyncio.run(beside_others(Retries("it", attempts=5), failing(*words)))


def test_a_budget_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransientError, match="busy 0"):
        asyncio.run(beside_others(Retries("it", limit_s=0), failing(TransientError("busy 0"))))
    # The last attempt is made when the time is over, whatever the engine asks for.
    late = failing(TransientError("busy 0", 1e9), TransientError("busy 1", 1e9))
    with pytest.raises(TransientError, match="busy 1"):
        asyncio.run(beside_others(Retries("it", limit_s=0.05), late))


def test_it_waits_as_long_as_the_engine_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    one = Retries("it")
    monkeypatch.setattr(retries.asyncio, "sleep", sleep)
    assert asyncio.run(one.call(failing(TransientError("busy", 17.0), None))) == "yes"
    assert slept == [17.0]


def test_delays_grow_and_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    one = Retries("it")
    longest = [max(one._delay_s(n, TimeoutError()) for _ in range(300)) for n in (1, 2, 3, 12)]
    assert longest == sorted(longest) and 0 < longest[0] <= 0.5 and longest[-1] <= 30
    assert len({one._delay_s(5, TimeoutError()) for _ in range(9)}) == 9


def test_an_outage_pauses_all_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(ConnectionRefusedError("nobody\n\x1b[31m there"))
    one = Retries("the policy at x:1", attempts=4)

    async def run() -> list[str]:
        calls = [asyncio.create_task(one.call(server.ask)) for _ in range(20)]
        while server.calls < 60:
            await asyncio.sleep(0.001)
        # The first twenty go at once. Then one at a time asks, far more often than a budget has.
        server.most = server.under_way
        before, server.fault = server.calls, None
        assert before >= 60 and server.most <= 1
        return await asyncio.gather(*calls)

    with caplog.at_level(logging.WARNING, "rstar_fast"):
        assert asyncio.run(run()) == ["yes"] * 20
    begun, ended = [record.getMessage() for record in caplog.records]
    assert begun == (
        "the policy at x:1 does not answer (ConnectionRefusedError: nobody  [31m there); "
        "waiting for it, for 30 min at most"
    )
    assert ended.startswith("the policy at x:1 answers again, after ")


def test_requests_take_turns_in_an_outage() -> None:
    one = Retries("it")
    bad = Server(TransientError("no"))

    async def run() -> str:
        # One request that is never answered does not stand in the way of the others.
        stuck = asyncio.create_task(one.call(bad.ask))
        while one._outage is None:
            await asyncio.sleep(0.001)
        answer = await one.call(Server().ask)
        stuck.cancel()
        return answer

    assert asyncio.run(run()) == "yes"


def test_an_answer_from_before_ends_an_outage_at_once() -> None:
    one = Retries("it")
    hangs, answer = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        await answer.wait()
        return "slow"

    async def run() -> list[str]:
        first = asyncio.create_task(one.call(slow))
        await asyncio.sleep(0)
        faults = iter([TimeoutError()] * OUTAGE_AFTER)

        async def then_hang() -> str:
            if (fault := next(faults, None)) is not None:
                raise fault
            hangs.set()
            await asyncio.sleep(1e6)
            return "never"

        second = asyncio.create_task(one.call(then_hang))
        await hangs.wait()
        third = asyncio.create_task(one.call(Server().ask))
        await asyncio.sleep(0.01)
        assert not third.done()
        answer.set()
        found = [await first, await third]
        second.cancel()
        return found

    assert asyncio.run(run()) == ["slow", "yes"]


@pytest.mark.parametrize(
    ("fault", "number"), [(TransientError("loading"), 8), (ConnectionError("loading"), 2)]
)
def test_a_long_outage_breaks_the_engine_for_all_that_wait(fault: Exception, number: int) -> None:
    one = Retries("the policy", outage_s=0.2)
    server = Server(fault)

    async def run() -> list[Any]:
        first = await asyncio.gather(
            *[one.call(server.ask) for _ in range(number)], return_exceptions=True
        )
        server.fault = None
        return [*first, await one.call(server.ask)]

    *broken, later = asyncio.run(run())
    assert later == "yes"
    for error in broken:
        assert isinstance(error, OutageError) and isinstance(error, RStarError)
        assert str(error) == (
            "the policy has not answered for 0 s; "
            f"the last time it failed with {type(fault).__name__}: loading"
        )


@pytest.mark.parametrize(
    ("kind", "number"), [(TransientError, 7), (TimeoutError, 7), (ConnectionError, 1)]
)
def test_the_last_few_requests_fail_for_themselves(kind: type[Exception], number: int) -> None:
    """They may be the bad ones of a search, which must come to an end."""
    one = Retries("the policy", outage_s=0.2)
    bad = [Server(kind(f"bad {i}")) for i in range(number)]

    async def run() -> list[Any]:
        await one.call(Server().ask)
        return await asyncio.gather(
            *[one.call(server.ask) for server in bad], return_exceptions=True
        )

    errors = asyncio.run(run())
    assert [(type(error), str(error)) for error in errors] == [
        (kind, f"bad {i}") for i in range(number)
    ]


def test_a_cancelled_request_gives_its_turn_away() -> None:
    one = Retries("it")
    server = Server(TransientError("no"))

    async def run() -> list[str]:
        calls = [asyncio.create_task(one.call(server.ask)) for _ in range(6)]
        while server.calls < 12:
            await asyncio.sleep(0.001)
        for call in calls[:5]:
            call.cancel()
        server.fault = None
        return await asyncio.gather(calls[5], one.call(server.ask))

    assert asyncio.run(run()) == ["yes", "yes"]


def test_an_error_that_does_not_pass_is_an_answer_too() -> None:
    one = Retries("it")
    server = Server(TransientError("no"))

    async def run() -> str:
        waits = asyncio.create_task(one.call(server.ask))
        while one._outage is None:
            await asyncio.sleep(0.001)
        with pytest.raises(ValueError, match="bad request"):
            await one.call(failing(ValueError("bad request")))
        server.fault = None
        return await waits

    assert asyncio.run(run()) == "yes"


def test_an_outage_is_seen_where_no_logging_is_set_up() -> None:
    code = """
import asyncio
from rstar_fast.remote import Retries, retries
retries.FIRST_DELAY_S = 0.001
faults = [ConnectionError("gone")] * 6
async def ask():
    if faults:
        raise faults.pop()
asyncio.run(Retries("the policy").call(ask))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    first, last = done.stderr.splitlines()
    assert first.startswith("the policy does not answer (ConnectionError: gone)")
    assert last.startswith("the policy answers again")


@pytest.mark.parametrize("wrong", [{"attempts": 3}, {"limit_s": -1}, {"outage_s": "long"}])
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Retries("it", **wrong)
