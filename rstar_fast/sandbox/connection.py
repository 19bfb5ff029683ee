"""One HTTP/1.1 connection: bounded requests in, responses out. `h11` reads and writes the protocol.

A client may be slow, may never send what it announced, and may leave while its program waits.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Protocol, TypeVar

import h11

from rstar_fast.sandbox.messages import Refusal, Request, Response
from rstar_fast.sandbox.options import SandboxOptions

T = TypeVar("T")

_READ_BYTES = 1 << 16
_MAX_HEADER_BYTES = 1 << 14
_KEEP_ALIVE_S = 75.0
"""Seconds for which a connection without a request stays open."""
_SEND_S = 60.0
"""Seconds in which a client has to take its response."""
_LINGER_S = 2.0
"""Seconds for which a refused body is read on, so that the client gets to read why."""

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


class Handler(Protocol):
    """What does the requests of all connections."""

    def admit(self, num_bytes: int) -> None:
        """Take note of a body that is about to come. Raises `Refusal` if it may not."""

    def release(self, num_bytes: int) -> None:
        """Take note that a body which was admitted is held no more."""

    async def handle(self, request: Request) -> Response:
        """Do a request. A `Refusal` that it raises becomes the response."""


class ClientGone(Exception):
    """The client hung up, was too slow, or does not speak HTTP."""


class Connection:
    """A connection of one client."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        options: SandboxOptions,
        handler: Handler,
    ) -> None:
        self._handler = handler
        self._num_bytes = 0
        self._reader = reader
        self._writer = writer
        self._options = options
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEADER_BYTES)
        # A read that began while a request was done.
        self._heard: asyncio.Future[bytes] | None = None

    async def serve(self) -> None:
        """Serve the requests of the client, one after another, until it or an error ends that."""
        try:
            while True:
                try:
                    request = await self._request()
                    response = await self._while_there(self._handler.handle(request))
                except Refusal as refusal:
                    response = refusal.response
                except h11.RemoteProtocolError as error:
                    response = Response(error.error_status_hint, {"detail": str(error)})
                self._release()
                await self._send(response)
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    await self._linger()
                    return
                self._http.start_next_cycle()
        except (ClientGone, OSError, h11.LocalProtocolError):
            return
        finally:
            self._release()
            if self._heard:
                self._heard.cancel()
            self._writer.close()

    async def turn_away(self) -> None:
        """Say that there are too many connections, and close this one."""
        with contextlib.suppress(OSError):
            self._writer.write(_BUSY)
            await self._linger()
        self._writer.close()

    def _release(self) -> None:
        self._handler.release(self._num_bytes)
        self._num_bytes = 0

    async def _request(self) -> Request:
        if not self._http.trailing_data[0]:
            await _within(_KEEP_ALIVE_S, self._read())
        try:
            async with asyncio.timeout(self._options.receive_s):
                return await self._receive()
        except TimeoutError:
            raise Refusal(408, "the request did not arrive in time") from None

    async def _receive(self) -> Request:
        head = await self._event()
        if not isinstance(head, h11.Request):
            raise ClientGone
        headers = dict(head.headers)
        if b"transfer-encoding" in headers:
            raise Refusal(411, "a body needs a Content-Length")
        length = int(headers.get(b"content-length", b"0"))
        if length > self._options.max_body_bytes:
            most = self._options.max_body_bytes
            raise Refusal(413, f"body: expected at most {most} bytes, got {length}")
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        # A page in a browser cannot send this type to another server unasked.
        if length and kind != b"application/json":
            raise Refusal(415, "expected the Content-Type application/json")
        self._handler.admit(length)
        self._num_bytes = length
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            await self._write(self._http.send(go_on))
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        path = head.target.decode("ascii", "replace").partition("?")[0]
        return Request(head.method.decode("ascii"), path, bytes(body))

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._read()
        return event

    async def _read(self) -> None:
        """Wait for bytes and take them. Raises `ClientGone` if no more come."""
        data = await self._next_bytes()
        if not data:
            raise ClientGone
        self._http.receive_data(data)

    async def _next_bytes(self) -> bytes:
        """Wait for bytes. b"" if no more come."""
        heard, self._heard = self._heard, None
        return await (heard or self._reader.read(_READ_BYTES))

    async def _while_there(self, work: Awaitable[T]) -> T:
        """Return what a piece of work gives. It is cancelled if the client hangs up."""
        done = asyncio.ensure_future(work)
        self._heard = self._heard or asyncio.ensure_future(self._reader.read(_READ_BYTES))
        try:
            await asyncio.wait((done, self._heard), return_when=asyncio.FIRST_COMPLETED)
            if not done.done() and not self._heard.result():
                raise ClientGone
            return await done
        finally:
            done.cancel()

    async def _send(self, response: Response) -> None:
        kind, body = response.encoded()
        headers = {"content-type": kind, "content-length": str(len(body)), **response.headers}
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            raise ClientGone
        if self._http.their_state is not h11.DONE:
            headers["connection"] = "close"
        reason = HTTPStatus(response.status).phrase
        head = h11.Response(
            status_code=response.status, headers=list(headers.items()), reason=reason
        )
        data = self._http.send(head) or b""
        data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._write(data)

    async def _write(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)
            await _within(_SEND_S, self._writer.drain())

    async def _linger(self) -> None:
        """Read on for a moment. Closing at once would take the response from the client."""
        with contextlib.suppress(TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                while await self._next_bytes():
                    pass


async def _within(seconds: float, work: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise ClientGone from None
