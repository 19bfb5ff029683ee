"""Requests to HTTP servers. Whatever comes back is untrusted."""

import asyncio
import json
import math
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rstar_fast.errors import ConfigError, RStarError, TransientError

try:
    import httpx2
except ModuleNotFoundError as missing:
    raise ConfigError('servers need an HTTP client: pip install "rstar-fast[server]"') from missing

MAX_BYTES = 1 << 26
"""Largest size of a response. The scores of 100,000 tokens take half a megabyte."""
CONNECT_LIMIT_S = 10.0
_LONGEST_WAIT_S = 600.0
_SHOWN_CHARACTERS = 500
_PASSING = {408, 425, 429}
_WRONG_REQUEST = {400, 413, 422}
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class RefusedError(RStarError):
    """A server refused a request for good.

    Args:
        message: What the server said.
        status: Status of the answer.

    Attributes:
        status: Status of the answer, from 300 to 501.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def says_nothing_of_others(self) -> bool:
        """Whether the request itself is at fault, so that others may be answered."""
        return self.status in _WRONG_REQUEST


class MalformedError(RStarError):
    """A server's answer is not what the protocol says."""


class UnreachableError(TransientError):
    """A server could not be reached, or the connection broke."""


class HttpClient:
    """Sends requests, and keeps connections alive between them. It belongs to one event loop.

    Args:
        key: Key that goes with every request. None for no key.
        limit_s: Seconds that a request may take from its beginning to its end.

    Raises:
        ConfigError: SSL_CERT_FILE or SSL_CERT_DIR names no certificates.
    """

    def __init__(self, key: str | None, limit_s: float) -> None:
        self._key = key
        self._limit_s = limit_s
        headers = {"Accept-Encoding": "identity"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        # The number of requests is bounded elsewhere, and their time as a whole here.
        try:
            self._client = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(None, connect=CONNECT_LIMIT_S),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                follow_redirects=False,
            )
        except OSError as error:
            given = [f"{name}={os.environ[name]}" for name in _TRUST if os.environ.get(name)]
            # The first one wins.
            where = given[0] if given else "the system's certificates"
            raise ConfigError(f"{where}: expected certificates to trust: {error}") from error

    async def get(self, url: str) -> Any:
        """Return the JSON value at an address. See `post`."""
        async with self._answer("GET", url, None, {}) as response:
            return _parsed(url, await self._read(url, response))

    async def post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        """Send a JSON object and return the JSON value that comes back.

        Raises:
            TransientError: The server is busy, failed, cannot be reached, or does not answer in
                time.
            RefusedError: The server refused the request.
            MalformedError: The answer is too long, or compressed.
        """
        async with self._answer("POST", url, body, headers) as response:
            return _parsed(url, await self._read(url, response))

    async def events(
        self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[Any, None]:
        """Send a JSON object and yield the JSON values of the events that come back.

        Closing the generator before its end breaks the connection, by which the server knows that
        nobody waits.

        Raises:
            TransientError: As in `post`.
            RefusedError: The server refused the request, or told of an error in an event.
            MalformedError: As in `post`.
        """
        async with self._answer("POST", url, body, headers) as response:
            async for line in _lines(url, response):
                name, _, text = line.partition(b":")
                if name not in (b"data", b"error") or text.strip() == b"[DONE]":
                    continue
                event = _parsed(url, text)
                if isinstance(event, dict) and event.get("error"):
                    error = event["error"]
                    code = error.get("code") if isinstance(error, dict) else None
                    raise self._error(url, code if isinstance(code, int) else 500, event, None)
                yield event

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _answer(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> AsyncIterator["httpx2.Response"]:
        content = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if content is not None else {}
        try:
            async with (
                asyncio.timeout(self._limit_s),
                self._client.stream(
                    method, url, content=content, headers={**kind, **headers}
                ) as response,
            ):
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise MalformedError(f"{url}: expected an answer that is not compressed")
                if response.status_code != 200:
                    data = await self._read(url, response)
                    after = response.headers.get("Retry-After")
                    raise self._error(url, response.status_code, _any_of(data), after)
                yield response
        except TimeoutError as error:
            raise TransientError(f"{url}: no answer within {self._limit_s:g} s") from error
        except httpx2.TransportError as error:
            reason = _distrust(error) or str(error) or type(error).__name__
            raise UnreachableError(f"{url}: {self._shown(reason)}") from error

    async def _read(self, url: str, response: "httpx2.Response") -> bytes:
        return b"".join([piece async for piece in _pieces(url, response)])

    def _error(self, url: str, status: int, value: Any, after: str | None) -> RStarError:
        """Return the error that an answer without the status 200 stands for."""
        message = f"{url}: HTTP {status}: {self._shown(_words(value)) or '(no words)'}"
        if status in _PASSING or (status >= 500 and status != 501):
            return TransientError(message, _wait_s(after))
        return RefusedError(message, status)

    def _shown(self, text: str) -> str:
        """Return a server's words for a message: short, in one line, without the key."""
        if self._key is not None:
            text = text.replace(self._key, "(the key)")
        text = "".join(c if c.isprintable() else " " for c in text[: 4 * _SHOWN_CHARACTERS])
        text = " ".join(text.split())
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


async def _pieces(url: str, response: "httpx2.Response") -> AsyncGenerator[bytes, None]:
    """Yield what comes, up to `MAX_BYTES`."""
    length = 0
    async for piece in response.aiter_raw():
        length += len(piece)
        if length > MAX_BYTES:
            raise MalformedError(f"{url}: expected an answer of at most {MAX_BYTES:,} bytes")
        yield piece


async def _lines(url: str, response: "httpx2.Response") -> AsyncGenerator[bytes, None]:
    rest: list[bytes] = []
    async for piece in _pieces(url, response):
        *whole, last = piece.split(b"\n")
        for line in whole:
            yield b"".join([*rest, line]).rstrip(b"\r")
            rest = []
        rest.append(last)


def _parsed(url: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        # It may have been cut, or be the page of a proxy whose server is away.
        raise TransientError(f"{url}: expected JSON, got {len(data)} bytes of else") from error


def _any_of(data: bytes) -> Any:
    """Return a JSON value, or what else came as text."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data[: 4 * _SHOWN_CHARACTERS].decode(errors="replace")


def _words(value: Any) -> str:
    """Return what an error's JSON value says, in the forms that servers have for it."""
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return value if isinstance(value, str) else json.dumps(value)[: 4 * _SHOWN_CHARACTERS]


def _distrust(error: BaseException | None) -> str | None:
    """Return why a server's certificate is not trusted. None for any other failure."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {error.verify_message}; SSL_CERT_FILE may name a "
                "file of certificates to trust"
            )
        error = error.__cause__ or error.__context__
    return None


def _wait_s(after: str | None) -> float | None:
    """Return the seconds of a Retry-After, which are a number or a date."""
    if after is None:
        return None
    try:
        seconds = float(after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if math.isfinite(seconds) else None
