"""An event loop in a thread: its coroutines, its end, and a fork."""

import asyncio
import os
import threading
from concurrent.futures import CancelledError, Future, wait

import pytest

from rstar_fast.errors import SearchError
from rstar_fast.remote import EventLoop, loop

WAIT_S = 60


async def name_of_thread() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def sleep_for_ever(begun: "Future[None]", ended: "Future[str]") -> None:
    begun.set_result(None)
    try:
        await asyncio.sleep(1e6)
    except asyncio.CancelledError:
        ended.set_result("cancelled")
        raise


def test_coroutines_run_in_a_thread_of_the_loop() -> None:
    one = EventLoop("mine")
    futures = [one.run(name_of_thread()) for _ in range(5)]
    assert {future.result(WAIT_S) for future in futures} == {"mine"}
    one.close()
    assert not any(thread.name == "mine" for thread in threading.enumerate())


def test_an_error_of_a_coroutine_is_that_of_its_future() -> None:
    async def fail() -> None:
        raise KeyError("x")

    one = EventLoop("mine")
    with pytest.raises(KeyError):
        one.run(fail()).result(WAIT_S)
    one.close()


def test_a_coroutine_that_would_end_the_process_ends_nothing() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    one = EventLoop("mine")
    with pytest.raises(SearchError, match="SystemExit: 3"):
        one.run(leave()).result(WAIT_S)
    assert one.run(name_of_thread()).result(WAIT_S) == "mine"
    one.close()


def test_a_loop_without_coroutines_has_no_thread() -> None:
    before = set(threading.enumerate())
    one = EventLoop("mine")
    assert set(threading.enumerate()) == before
    one.close()
    one.close()


def test_cancelling_a_future_cancels_its_coroutine() -> None:
    one = EventLoop("mine")
    begun: Future[None] = Future()
    ended: Future[str] = Future()
    future = one.run(sleep_for_ever(begun, ended))
    begun.result(WAIT_S)
    assert future.cancel() and ended.result(WAIT_S) == "cancelled"
    assert one.run(name_of_thread()).result(WAIT_S) == "mine"
    one.close()


def test_closing_cancels_what_is_open() -> None:
    one = EventLoop("mine")
    begun: Future[None] = Future()
    ended: Future[str] = Future()
    future = one.run(sleep_for_ever(begun, ended))
    begun.result(WAIT_S)
    closers = [threading.Thread(target=one.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(WAIT_S)
    one.close()
    assert ended.result(WAIT_S) == "cancelled"
    with pytest.raises(CancelledError):
        future.result(WAIT_S)


@pytest.mark.filterwarnings("error")
def test_a_closed_loop_runs_nothing() -> None:
    one = EventLoop("mine")
    one.close()
    with pytest.raises(SearchError, match="closed"):
        one.run(name_of_thread())


def test_a_loop_may_be_closed_in_its_own_thread() -> None:
    one = EventLoop("mine")
    closed: Future[None] = Future()

    def close(_: "Future[str]") -> None:
        one.close()
        closed.set_result(None)

    one.run(name_of_thread()).add_done_callback(close)
    closed.result(WAIT_S)
    with pytest.raises(SearchError, match="closed"):
        one.run(name_of_thread())


def test_a_coroutine_that_heeds_nothing_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "CLOSE_LIMIT_S", 0.1)
    release = threading.Event()
    begun: Future[None] = Future()

    async def block() -> None:
        begun.set_result(None)
        release.wait()

    one = EventLoop("stubborn")
    future = one.run(block())
    begun.result(WAIT_S)
    one.close()
    assert not release.is_set() and future.cancelled()
    release.set()
    wait([future], WAIT_S)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_a_forked_process_it_refuses_and_closes() -> None:
    one = EventLoop("mine")
    one.run(name_of_thread()).result(WAIT_S)
    # A thread may hold the lock at the fork.
    with one._lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                one.close()
                one.run(name_of_thread())
            except SearchError:
                code = 0
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    one.close()
