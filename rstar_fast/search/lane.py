"""A thread in which a model works, one call after another."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from rstar_fast.search.activity import Activity
from rstar_fast.search.messages import LaneAnswered, Send, ThreadFailed
from rstar_fast.search.models import Model


class Lane:
    """Drives one model in a thread of its own.

    After each call the thread takes everything that waits. It sleeps only when no request is open.
    Batches are therefore small while the model is quick, and grow by themselves when it is not.

    Attributes:
        thread: Thread in which the model works.
        activity: Counts of the model's work.
    """

    def __init__(self, model: Model[Any, Any], send: Send) -> None:
        """Start the thread.

        Args:
            model: Model to drive; nobody else may use it meanwhile.
            send: Function that takes a `LaneAnswered` after each call with results, and a
                `ThreadFailed` if an exception ends the thread.
        """
        self.activity: Activity = model.activity
        self._model = model
        self._send = send
        self._inbox: queue.SimpleQueue[list[Any] | Callable[[], None]] = queue.SimpleQueue()
        self._stopped = False
        self.thread = threading.Thread(
            target=self._run, name=f"{type(model).__name__} of a search", daemon=True
        )
        self.thread.start()

    def submit(self, requests: list[Any]) -> None:
        """Queue requests."""
        if requests:
            self.activity.opened(len(requests))
            self._inbox.put(requests)

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the thread, between two calls of the model."""
        self._inbox.put(function)

    def stop(self) -> None:
        """End the thread once the call that is under way returns."""
        self._stopped = True
        self._inbox.put([])

    def _run(self) -> None:
        try:
            while self._take_in():
                results = self._model.advance()
                if results:
                    self._send(LaneAnswered(self.activity, results))
        except BaseException as error:
            self._send(ThreadFailed(error))
        finally:
            self._model.cancel()

    def _take_in(self) -> bool:
        """Move submitted requests to the model, and wait for some if none is open.

        Returns False to stop.
        """
        while not self._stopped:
            if self._inbox.empty() and self._model.num_open:
                return True
            taken = self._inbox.get()
            if callable(taken):
                taken()
            else:
                self._model.add(taken)
        return False
