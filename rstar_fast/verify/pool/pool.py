"""A pool of worker processes. Runs in the main process.

Work has hard deadlines, it is retried once when its worker dies, and no process is left behind. One
thread does everything: it starts the workers, hands out work in the order in which it came, reads
the answers, and kills late workers. Workers are started by exec, so the main process never forks.
"""

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar

from rstar_fast.checks import check_integer
from rstar_fast.errors import ExecutorError, InternalError
from rstar_fast.verify.base import Status
from rstar_fast.verify.pool.machine import require_linux
from rstar_fast.verify.pool.process import WorkerProcess
from rstar_fast.verify.pool.wire import FrameError, encode_frame

T = TypeVar("T")

MAX_WORKERS = 4096
"""Largest number of workers."""
_START_LIMIT_S = 120.0
"""Seconds in which a started worker has to be ready."""
_MAX_STARTS = 3
"""Number of starts that may fail in a row. From the last one on, each fails a piece of work."""
_RESTART_PAUSE_S = 0.5
"""Seconds between a failed start and the next one."""
_REAP_INTERVAL_S = 0.01
"""Seconds between two looks at whether killed workers are gone."""
_GREETING_ID = 0
"""Work id of the options that a worker gets first, and of the greeting that it answers with."""


@dataclass(eq=False)
class _Work(Generic[T]):
    """One piece of work.

    Attributes:
        work_id: Number that the worker's answer names.
        frame: Bytes that are sent to the worker.
        future: Future that gets the result.
        started: Whether it was handed out, so that it can no longer be cancelled.
        lost_workers: Number of workers that died while they held it.
    """

    work_id: int
    frame: bytes
    future: "Future[T]" = field(default_factory=Future)
    started: bool = False
    lost_workers: int = 0


@dataclass(eq=False)
class _Worker(Generic[T]):
    """A worker as the pool's thread sees it.

    Attributes:
        process: Process of the worker.
        deadline: Time by the monotonic clock at which it is killed, unless it answers or is idle.
        ready: Whether it has sent its greeting.
        works: Work that it holds, keyed by `work_id`.
    """

    process: WorkerProcess
    deadline: float
    ready: bool = False
    works: dict[int, _Work[T]] = field(default_factory=dict)


class WorkerPool(Generic[T]):
    """Runs work in killable worker processes and returns futures. A context manager.

    All methods may be called from any thread. Callbacks of the futures run in the pool's thread.
    """

    def __init__(
        self,
        module: str,
        *,
        workers: int,
        limit_s: float,
        options: dict[str, Any],
        decode: Callable[[dict[str, Any]], T],
        failure: Callable[[Status], T],
        environment: Mapping[str, str] | None = None,
        slots: int = 1,
    ) -> None:
        """Make a pool. Its workers start when there is work for them.

        Args:
            module: Name of the worker's module. Its function `main(parent_pid)` serves the pool,
                as `worker.serve` does.
            workers: Largest number of worker processes, in 1..4096.
            limit_s: Seconds for which a worker with work may go without an answer before it is
                killed. The time of its start does not count.
            options: JSON values that are sent to every worker at its start.
            decode: Function that makes a result of an answer's payload. If it raises `ValueError`,
                `KeyError` or `TypeError`, the result is `failure(Status.PROTOCOL)`.
            failure: Function that makes a result of TIMEOUT, PROTOCOL or LOST.
            environment: Environment variables of the workers. None gives them this process's.
            slots: Number of pieces of work that one worker holds at once, >= 1.

        Raises:
            ConfigError: `workers` is out of range.
        """
        check_integer("workers", workers, low=1, high=MAX_WORKERS)
        self._module = module
        self._max_workers = workers
        self._limit_s = limit_s
        self._slots = slots
        self._options_frame = encode_frame(_GREETING_ID, options)
        self._decode = decode
        self._failure = failure
        self._environment = dict(os.environ if environment is None else environment)
        self._ids = count(_GREETING_ID + 1)
        self._lock = threading.Lock()
        self._queue: deque[_Work[T]] = deque()
        self._workers: list[_Worker[T]] = []
        self._dying: list[WorkerProcess] = []
        self._failed_starts = 0
        self._restart_s = 0.0
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"pool of {module}", daemon=True)
        self._thread.start()

    def __enter__(self) -> "WorkerPool[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, payload: dict[str, Any]) -> "Future[T]":
        """Queue one piece of work.

        Args:
            payload: JSON values that are sent to the worker.

        Returns:
            A future of what `decode` or `failure` makes. Its exception is an `ExecutorError` if
            workers cannot be started, and an `InternalError` if the pool's thread failed. It can be
            cancelled until the work is handed out.

        Raises:
            ExecutorError: The pool is closed, the payload is too large, or this is not Linux.
        """
        require_linux("programs of steps, and answers that their text does not settle,")
        work_id = next(self._ids)
        try:
            work: _Work[T] = _Work(work_id, encode_frame(work_id, payload))
        except FrameError as error:
            raise ExecutorError(f"submit: {error}") from error
        with self._lock:
            if self._closed:
                raise ExecutorError("submit: the pool is closed")
            self._queue.append(work)
            self._wake()
        return work.future

    def close(self) -> None:
        """Kill the workers. The result of unfinished work is `failure(Status.LOST)`.

        May be called again, also from a callback of a future.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def pids(self) -> list[int]:
        """Return the process ids of the workers that live now."""
        return [worker.process.pid for worker in list(self._workers)]

    def _wake(self) -> None:
        """Make the pool's thread look at the queue."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    # Everything below runs in the pool's thread.

    def _run(self) -> None:
        bug: InternalError | None = None
        try:
            while not self._closed:
                self._hand_out()
                for key, events in self._selector.select(self._max_wait_s()):
                    self._handle(key.data, events)
                self._kill_late()
                self._dying = [process for process in self._dying if not process.ended()]
        except BaseException as error:
            bug = InternalError(
                f"the thread of the worker pool ended: {type(error).__name__}: {error}"
            )
            bug.__cause__ = error
        finally:
            self._end(bug)

    def _end(self, bug: InternalError | None) -> None:
        """End all workers, and give all unfinished work a result."""
        with self._lock:
            self._closed = True
            undone = [work for worker in self._workers for work in worker.works.values()] + list(
                self._queue
            )
            self._queue.clear()
        for worker in list(self._workers):
            self._discard(worker)
        for process in self._dying:
            process.wait()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        for work in undone:
            self._finish(work, bug or self._failure(Status.LOST))

    def _hand_out(self) -> None:
        """Send waiting work to workers with a free slot, and start workers for the rest."""
        free = [
            worker for worker in self._workers if worker.ready and len(worker.works) < self._slots
        ]
        while self._queue and free:
            work = self._queue.popleft()
            if not self._begin(work):
                continue
            worker = free[-1]
            if not worker.works:
                worker.deadline = time.monotonic() + self._limit_s
            worker.works[work.work_id] = work
            if len(worker.works) == self._slots:
                free.pop()
            if (
                not worker.process.send(work.frame)
                and worker.process.input_fd not in self._selector.get_map()
            ):
                self._selector.register(worker.process.input_fd, selectors.EVENT_WRITE, worker)
        while (
            len(self._queue) > sum(not worker.ready for worker in self._workers)
            and len(self._workers) < self._max_workers
            and time.monotonic() >= self._restart_s
        ):
            self._start_worker()

    def _start_worker(self) -> None:
        try:
            process = WorkerProcess(self._module, self._environment)
        except OSError as error:
            self._start_failed(str(error))
            return
        worker: _Worker[T] = _Worker(process, time.monotonic() + _START_LIMIT_S)
        self._workers.append(worker)
        self._selector.register(process.output_fd, selectors.EVENT_READ, worker)
        process.send(self._options_frame)

    def _max_wait_s(self) -> float | None:
        """Return the seconds until the next deadline, or None if there is none."""
        deadlines = [
            worker.deadline for worker in self._workers if worker.works or not worker.ready
        ]
        if self._queue and self._restart_s > time.monotonic():
            deadlines.append(self._restart_s)
        wait_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        if self._dying:
            return _REAP_INTERVAL_S if wait_s is None else min(wait_s, _REAP_INTERVAL_S)
        return wait_s

    def _handle(self, worker: _Worker[T] | None, events: int) -> None:
        if worker is None:
            os.read(self._wake_read, 4096)
        elif worker not in self._workers:
            return
        elif events & selectors.EVENT_WRITE:
            if worker.process.flush():
                self._selector.unregister(worker.process.input_fd)
        else:
            self._receive(worker)

    def _receive(self, worker: _Worker[T]) -> None:
        try:
            for work_id, payload in worker.process.receive():
                self._take(worker, work_id, payload)
        except EOFError:
            self._worker_died(worker)
        except (ValueError, KeyError, TypeError):
            for work in self._discard(worker):
                self._finish(work, self._failure(Status.PROTOCOL))
            if not worker.ready:
                self._start_failed("it sent something other than its greeting")

    def _take(self, worker: _Worker[T], work_id: int, payload: dict[str, Any]) -> None:
        if not worker.ready and work_id == _GREETING_ID:
            if "failed" in payload:
                self._discard(worker)
                with self._lock:
                    waiting, self._queue = list(self._queue), deque()
                self._fail(waiting, str(payload["failed"]))
            else:
                worker.ready = True
                self._failed_starts = 0
        elif work_id not in worker.works:
            raise FrameError(
                f"expected an answer to work in {list(worker.works)}, got one to {work_id}"
            )
        else:
            result = self._decode(payload)
            worker.deadline = time.monotonic() + self._limit_s
            self._finish(worker.works.pop(work_id), result)

    def _worker_died(self, worker: _Worker[T]) -> None:
        works = self._discard(worker)
        if not worker.ready:
            self._start_failed("it ended before it was ready")
        for work in reversed(works):
            work.lost_workers += 1
            if work.lost_workers > 1:
                self._finish(work, self._failure(Status.LOST))
            else:
                with self._lock:
                    self._queue.appendleft(work)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.deadline <= now]:
            if not worker.ready:
                self._discard(worker)
                self._start_failed(f"it was not ready after {_START_LIMIT_S:g} s")
            elif worker.works:
                for work in self._discard(worker):
                    self._finish(work, self._failure(Status.TIMEOUT))

    def _start_failed(self, reason: str) -> None:
        """Pause before the next start. After several failures in a row, fail the oldest work."""
        self._failed_starts += 1
        self._restart_s = time.monotonic() + _RESTART_PAUSE_S
        if self._failed_starts >= _MAX_STARTS:
            with self._lock:
                oldest = [self._queue.popleft()] if self._queue else []
                if not self._queue:
                    self._failed_starts = 0
            self._fail(oldest, reason)

    def _fail(self, works: list[_Work[T]], reason: str) -> None:
        for work in works:
            self._finish(
                work,
                ExecutorError(f"a worker process ({self._module}) could not be started: {reason}"),
            )

    def _discard(self, worker: _Worker[T]) -> list[_Work[T]]:
        """Kill a worker and return the work that it held."""
        for fd in (worker.process.input_fd, worker.process.output_fd):
            with contextlib.suppress(KeyError):
                self._selector.unregister(fd)
        worker.process.kill()
        self._workers.remove(worker)
        self._dying.append(worker.process)
        works = list(worker.works.values())
        worker.works.clear()
        return works

    def _begin(self, work: _Work[T]) -> bool:
        """Start work, which can no longer be cancelled then. Returns False if it was cancelled."""
        if not work.started:
            work.started = work.future.set_running_or_notify_cancel()
        return work.started

    def _finish(self, work: _Work[T], result: T | Exception) -> None:
        if not self._begin(work):
            return
        if isinstance(result, Exception):
            work.future.set_exception(result)
        else:
            work.future.set_result(result)
