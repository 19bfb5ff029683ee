"""A server of programs in a thread of the test's process, and a client of it."""

import asyncio
import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rstar_fast.sandbox.options import SandboxOptions
from rstar_fast.sandbox.server import SandboxServer, serve

WAIT_S = 300


@dataclass
class Client:
    """A client of a server in this process. Each request has a connection of its own."""

    port: int

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
        """Returns status code, content and headers. A body of bytes is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if data is None else {"content-type": "application/json"}
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            content: Any = response.read().decode()
            if response.headers["content-type"] == "application/json":
                content = json.loads(content)
            return response.status, content, {k.lower(): v for k, v in response.headers.items()}
        finally:
            connection.close()

    def run_code(self, code: str, **fields: Any) -> dict[str, Any]:
        body = {"code": code, "language": "python", "run_timeout": 60} | fields
        status, reply, _ = self.ask("POST", "/run_code", body)
        assert status == 200, reply
        assert isinstance(reply, dict)
        return reply

    def post(self, path: str, expect: int = 200, **fields: Any) -> dict[str, Any]:
        status, reply, _ = self.ask("POST", path, fields)
        assert status == expect, reply
        assert isinstance(reply, dict)
        return reply


@dataclass
class Running:
    client: Client
    server: SandboxServer
    stop: Callable[[], None]


def start(**options: Any) -> Running:
    """Serve in a thread of its own."""
    running: Future[tuple[SandboxServer, Callable[[], None]]] = Future()
    thread: threading.Thread

    async def main() -> None:
        end, loop = asyncio.Event(), asyncio.get_running_loop()
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, fault: faults.append(fault))

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(end.set)
            thread.join(WAIT_S)
            assert not thread.is_alive()
            assert not faults

        await serve(
            SandboxOptions(port=0, **options),
            end.wait,
            lambda server: running.set_result((server, stop)),
        )

    def body() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if not running.done():
                running.set_exception(error)
                return
            raise

    thread = threading.Thread(target=body)
    thread.start()
    server, stop = running.result(WAIT_S)
    return Running(Client(server.port), server, stop)
