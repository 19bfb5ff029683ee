"""The worker pool: order, deadlines, workers that die or lie, and closing."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any

import pytest

from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Status
from rstar_fast.verify.pool import pool as pool_module
from rstar_fast.verify.pool.pool import WorkerPool
from rstar_fast.verify.pool.wire import MAX_PAYLOAD_BYTES, FrameError, FrameReader, encode_frame

Result = Any


def make_pool(workers: int = 1, limit_s: float = 60.0, **options: Any) -> WorkerPool[Result]:
    return WorkerPool(
        "pool_worker",
        workers=workers,
        limit_s=limit_s,
        options=options,
        decode=lambda payload: payload["value"],
        failure=lambda status: status,
    )


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool[Result]]:
    with make_pool() as running:
        yield running


def test_answers_belong_to_their_work() -> None:
    with make_pool(workers=3) as pool:
        futures = [pool.submit({"do": "echo", "value": value}) for value in range(500)]
        assert [future.result() for future in futures] == list(range(500))
        assert len(pool.pids()) == 3


def test_any_text_survives_the_way(pool: WorkerPool[Result]) -> None:
    for value in ("", "\0\ud800\U0001f642", "x" * 3_000_000, {"a": [1.5, None]}):
        assert pool.submit({"do": "echo", "value": value}).result() == value


def test_what_a_worker_prints_is_no_answer(pool: WorkerPool[Result]) -> None:
    assert pool.submit({"do": "print"}).result() == "done"


def test_an_oversized_payload_is_refused(pool: WorkerPool[Result]) -> None:
    with pytest.raises(ExecutorError, match="at most"):
        pool.submit({"value": "x" * (MAX_PAYLOAD_BYTES + 1)})


def test_late_workers_are_killed_and_replaced() -> None:
    with make_pool(limit_s=0.3) as pool:
        futures = [pool.submit({"do": "sleep", "s": 60}), pool.submit({"do": "echo", "value": 1})]
        assert [future.result() for future in futures] == [Status.TIMEOUT, 1]


def test_work_of_a_dead_worker_is_run_once_more(pool: WorkerPool[Result], tmp_path: Path) -> None:
    futures = [
        pool.submit({"do": "die once", "mark": str(tmp_path / "mark")}),
        pool.submit({"do": "die"}),
    ]
    assert [future.result() for future in futures] == ["done", Status.LOST]
    assert pool.submit({"do": "echo", "value": 2}).result() == 2


def test_a_worker_killed_in_flight_is_replaced(pool: WorkerPool[Result]) -> None:
    assert pool.submit({"do": "echo", "value": 1}).result() == 1
    future = pool.submit({"do": "sleep", "s": 1.0})
    time.sleep(0.2)
    os.kill(pool.pids()[0], signal.SIGKILL)
    assert future.result() == "done"


LIES = {
    "no frame": b"what?" * 10,
    "wrong magic": b"evil" + bytes(12),
    "too long": encode_frame(1, {})[:12] + b"\xff\xff\xff\xff",
    "no JSON": encode_frame(1, {})[:12] + b"\x00\x00\x00\x02{]",
    "no object": encode_frame(1, {})[:12] + b"\x00\x00\x00\x02[]",
    "no UTF-8": encode_frame(1, {})[:12] + b"\x00\x00\x00\x02\xff\xfe",
    "deep": encode_frame(1, {})[:12] + (100_000).to_bytes(4, "big") + b"[" * 100_000,
}


@pytest.mark.parametrize("lie", LIES)
def test_malformed_answers(pool: WorkerPool[Result], lie: str) -> None:
    futures = [
        pool.submit({"do": "write", "hex": LIES[lie].hex()}),
        pool.submit({"do": "echo", "value": 3}),
    ]
    assert [future.result() for future in futures] == [Status.PROTOCOL, 3]


@pytest.mark.parametrize(
    "payload", [{"do": "wrong id"}, {"do": "write", "hex": (encode_frame(0, {})).hex()}]
)
def test_answers_to_other_work(pool: WorkerPool[Result], payload: dict[str, Any]) -> None:
    assert pool.submit(payload).result() is Status.PROTOCOL


def test_an_answer_without_a_result() -> None:
    with WorkerPool(
        "pool_worker",
        workers=1,
        limit_s=60,
        options={},
        decode=lambda payload: payload["no"],
        failure=lambda status: status,
    ) as pool:
        assert pool.submit({"do": "echo", "value": 1}).result() is Status.PROTOCOL


@pytest.mark.parametrize(
    ("start", "reason"),
    [("raise", "nothing works today"), ("exit", "ended before"), ("garbage", "greeting")],
)
def test_workers_that_cannot_start(start: str, reason: str) -> None:
    with make_pool(workers=2, start=start) as pool:
        futures = [pool.submit({"do": "echo", "value": 1}) for _ in range(3)]
        for future in futures:
            with pytest.raises(ExecutorError, match=reason):
                future.result()


def test_starts_that_fail_for_a_while_fail_nothing(tmp_path: Path) -> None:
    with make_pool(start="exit twice", mark=str(tmp_path / "mark")) as pool:
        futures = [pool.submit({"do": "echo", "value": value}) for value in range(20)]
        assert [future.result() for future in futures] == list(range(20))


def test_starts_that_fail_longer_fail_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_MAX_STARTS", 1)
    with make_pool(start="exit twice", mark=str(tmp_path / "mark")) as pool:
        futures = [pool.submit({"do": "echo", "value": value}) for value in range(20)]
        for future in futures[:2]:
            with pytest.raises(ExecutorError, match="ended before"):
                future.result()
        assert [future.result() for future in futures[2:]] == list(range(2, 20))


def test_an_unknown_module() -> None:
    pool: WorkerPool[Result] = WorkerPool(
        "no_such_worker",
        workers=1,
        limit_s=1,
        options={},
        decode=dict,
        failure=lambda status: status,
    )
    with pool, pytest.raises(ExecutorError, match="no_such_worker"):
        pool.submit({}).result()


def test_waiting_work_can_be_cancelled(pool: WorkerPool[Result]) -> None:
    first, second = pool.submit({"do": "sleep", "s": 0.5}), pool.submit({"do": "die"})
    assert second.cancel()
    assert first.result() == "done"
    with pytest.raises(CancelledError):
        second.result()
    assert pool.submit({"do": "echo", "value": 4}).result() == 4


def test_callbacks_may_submit_and_close() -> None:
    pool = make_pool()
    done = threading.Event()

    def close(_: object) -> None:
        pool.close()
        done.set()

    pool.submit({"do": "echo", "value": 1}).add_done_callback(
        lambda _: pool.submit({"do": "echo", "value": 2}).add_done_callback(close)
    )
    assert done.wait(60)
    pool.close()


def test_close_answers_everything_and_leaves_nothing() -> None:
    num_fds, num_threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(3):
        pool = make_pool(workers=2)
        pool.submit({"do": "echo", "value": 1}).result()
        futures = [pool.submit({"do": "sleep", "s": 60}) for _ in range(5)]
        pids = pool.pids()
        pool.close()
        pool.close()
        assert {future.result(0) for future in futures} == {Status.LOST}
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (num_fds, num_threads)
    with pytest.raises(ExecutorError, match="closed"):
        pool.submit({})


def test_many_threads_submit_at_once(pool: WorkerPool[Result]) -> None:
    results: list[Result] = []

    def submit(value: int) -> None:
        futures = [pool.submit({"do": "echo", "value": value}) for _ in range(50)]
        wait(futures)
        results.extend(future.result() for future in futures)

    threads = [threading.Thread(target=submit, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(list(range(8)) * 50)


@pytest.mark.parametrize("workers", [0, -1, 1.0, True, None])
def test_bad_number_of_workers(workers: Any) -> None:
    with pytest.raises(ConfigError, match="workers"):
        make_pool(workers=workers)


def test_frames_arrive_in_any_pieces() -> None:
    payloads: list[dict[str, Any]] = [{}, {"a": "\U0001f642" * 50}, {"b": [1, 2.5, None]}]
    stream = b"".join(encode_frame(i, payload) for i, payload in enumerate(payloads))
    for size in (1, 3, 16, 17, len(stream)):
        reader = FrameReader()
        frames = [
            frame
            for i in range(0, len(stream), size)
            for frame in reader.feed(stream[i : i + size])
        ]
        assert frames == list(enumerate(payloads))
    with pytest.raises(FrameError):
        FrameReader().feed(b"x" * 16)
