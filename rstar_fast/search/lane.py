"""A thread in which a model works, one call after another."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from rstar_fast.search.activity import Activity
from rstar_fast.search.models import Model


class Lane:
    """Drives one model in a thread of its own: it takes what waits when it is free, and waits only where nothing is open.

    So batches are small where the model is quick, as nobody is to wait for others, and grow by themselves where it is not.

    Attributes:
        thread: in which the model works.
        activity: the model's.
    """

    def __init__(self, model: Model[Any, Any], deliver: Callable[[Any], None]) -> None:
        """Start the thread. `deliver` gets (lane, answers) after each call that brought any, or what ended the thread."""
        self.activity: Activity = model.activity
        self._model = model
        self._deliver = deliver
        self._inbox: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
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

    def stop(self) -> None:
        """End the thread after the call that is under way."""
        self._stopped = True
        self._inbox.put([])

    def _run(self) -> None:
        try:
            while self._take_in():
                answers = self._model.advance()
                if answers:
                    self._deliver((self, answers))
        except BaseException as error:
            self._deliver(error)
        finally:
            self._model.cancel()

    def _take_in(self) -> bool:
        """Queue what was submitted, waiting for it only where nothing is open. False: stop."""
        while not self._stopped:
            if self._inbox.empty() and self._model.num_open:
                return True
            self._model.add(self._inbox.get())
        return False
