"""Waiting for many file descriptors at once."""

import select
from collections.abc import Callable

Handler = Callable[[int], object]
"""Called with the events of its descriptor (`select.EPOLLIN`, ...)."""


class Poller:
    """Descriptors and who is called when something can be read from one, or its other end is gone."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}

    def watch(self, fd: int, handler: Handler) -> None:
        """Call `handler` from now on."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def watch_for_room(self, fd: int, wanted: bool) -> None:
        """Whether its handler is called too when it can be written to."""
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Call nobody any more; before it is closed."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def poll(self, patience_s: float | None) -> None:
        """Wait until something happens, or so many seconds (None: for ever), and call the handlers."""
        for fd, events in self._epoll.poll(patience_s):
            handler = self._handlers.get(fd)
            if handler:
                handler(events)
