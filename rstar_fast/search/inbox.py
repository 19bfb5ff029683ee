"""Results of worker processes, gathered as they come."""

import queue
from collections import Counter
from concurrent.futures import Future
from typing import Any


class Inbox:
    """Futures under watch, by kind; their results in order of arrival. Used by one thread."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[tuple[int, str, Future[Any]]] = queue.SimpleQueue()
        self._open: Counter[str] = Counter()

    def watch(self, request_id: int, kind: str, future: Future[Any]) -> None:
        """Take in a future; its result will be that of `request_id`."""
        self._open[kind] += 1
        future.add_done_callback(lambda done: self._arrived.put((request_id, kind, done)))

    def num_open(self, kind: str) -> int:
        """Futures of a kind whose results were not taken yet."""
        return self._open[kind]

    def wait(self) -> None:
        """Block until some result can be taken; returns at once if nothing is watched."""
        if self._open.total():
            self._arrived.put(self._arrived.get())

    def take(self) -> list[tuple[int, Any]]:
        """Everything that arrived, as (request id, result). A future that failed raises its error here."""
        taken = []
        while not self._arrived.empty():
            request_id, kind, future = self._arrived.get()
            self._open[kind] -= 1
            taken.append((request_id, future.result()))
        return taken
