"""Waiting for many file descriptors at once. Runs in the supervisor process."""

import select
from collections.abc import Callable

Handler = Callable[[int], object]
"""Function that takes the events of its descriptor, such as `select.EPOLLIN`."""


class Poller:
    """Descriptors and their handlers.

    A handler is called when its descriptor can be read, and when the other end is gone.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}

    def watch(self, fd: int, handler: Handler) -> None:
        """Call `handler` for a descriptor from now on."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def watch_for_room(self, fd: int, wanted: bool) -> None:
        """Set whether a descriptor's handler is also called when it can be written to."""
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor and its handler. To be called before the descriptor is closed."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def poll(self, max_wait_s: float | None) -> None:
        """Wait until something happens, and call the handlers.

        Args:
            max_wait_s: Seconds to wait at most. None waits without a limit.
        """
        ready = [(self._handlers[fd], fd, events) for fd, events in self._epoll.poll(max_wait_s)]
        for handler, fd, events in ready:
            # An earlier handler may have closed the descriptor, and a new one may have its number.
            if self._handlers.get(fd) is handler:
                handler(events)
