"""The server: one event loop over connections, and one executor behind it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from rstar_fast.sandbox.connection import Connection
from rstar_fast.sandbox.options import SandboxOptions
from rstar_fast.sandbox.routes import Routes
from rstar_fast.verify.base import Limits
from rstar_fast.verify.execute.executor import Executor
from rstar_fast.verify.execute.isolation import Isolation

_EXPIRY_INTERVAL_S = 10.0
_FAREWELL_S = 1.0
"""Seconds for which connections may go on after the executor was closed."""
_BACKLOG = 512


class SandboxServer:
    """A server of programs. An asynchronous context manager; serves while it is open.

    Attributes:
        port: Port that it listens on.
        isolation: Means that confine its programs.
        workers: Number of programs at once.
    """

    port: int
    isolation: Isolation
    workers: int

    def __init__(self, options: SandboxOptions) -> None:
        """Make a server that does not listen yet."""
        self._options = options
        self._connections: set[asyncio.Task[None]] = set()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "SandboxServer":
        """Start the processes, and listen once they can run programs.

        Raises:
            IsolationError: Programs cannot be isolated here, and `unconfined` is not set.
            ExecutorError: No process can be started.
            OSError: The port cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            executor = await asyncio.to_thread(_executor, self._options)
            stack.push_async_callback(self._say_farewell)
            stack.push_async_callback(asyncio.to_thread, executor.close)
            report = await asyncio.to_thread(executor.report)
            self.isolation, self.workers = Isolation.of(report), report["programs_at_once"]
            self._routes = Routes(executor, self.workers, self._options)
            server = await asyncio.start_server(
                self._connected, self._options.host, self._options.port, backlog=_BACKLOG
            )
            stack.callback(server.close)
            self.port = server.sockets[0].getsockname()[1]
            expiry = asyncio.create_task(self._expire())
            stack.callback(expiry.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, end all programs, and close the connections."""
        await self._stack.aclose()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        connection = Connection(reader, writer, self._options, self._routes)
        try:
            if self._routes.num_connections < self._options.max_connections:
                await self._serve(connection)
            elif len(self._connections) <= 2 * self._options.max_connections:
                await connection.turn_away()
            else:
                writer.close()
        except asyncio.CancelledError:
            # The server ends.
            return
        finally:
            self._connections.discard(task)

    async def _serve(self, connection: Connection) -> None:
        self._routes.num_connections += 1
        try:
            await connection.serve()
        finally:
            self._routes.num_connections -= 1

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(min(_EXPIRY_INTERVAL_S, self._options.idle_s))
            self._routes.sessions.expire()

    async def _say_farewell(self) -> None:
        """Let connections send the last responses, and end them."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=_FAREWELL_S)
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)


def _executor(options: SandboxOptions) -> Executor:
    return Executor(
        workers=options.workers,
        limits=Limits(wall_s=options.max_time_s, memory_bytes=options.max_memory_mb << 20),
        style="step",
        require_isolation=not options.unconfined,
    )


async def serve(
    options: SandboxOptions,
    stopped: Callable[[], Any],
    started: Callable[[SandboxServer], object],
) -> None:
    """Serve until something happens.

    Args:
        options: Options of the server.
        stopped: Coroutine function that returns when the server is to end.
        started: Function that is called once it listens.
    """
    async with SandboxServer(options) as server:
        started(server)
        await stopped()
