"""The servers of one model: their event loop, connections, repetitions and losses."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from rstar_fast.checks import check_integer, check_number
from rstar_fast.errors import ConfigError, RStarError, TransientError
from rstar_fast.remote.addresses import api_key, server_root
from rstar_fast.remote.http import HttpClient, UnreachableError
from rstar_fast.remote.loop import EventLoop
from rstar_fast.remote.replicas import Replica, Replicas
from rstar_fast.remote.retries import Retries

T = TypeVar("T")

_PROBE_S = 2.0
"""Seconds between two looks at a server that is lost."""
_CLOSE_LIMIT_S = 2.0
_QUICK = 1 / 20
"""Share of its longest time within which an answer is quick."""
_LOG = logging.getLogger("rstar_fast")


class Connection(NamedTuple):
    """The routes of one server, for one session.

    Attributes:
        http: Client.
        root: Address below which the routes are.
        session: Name of the session. "" for none.
    """

    http: HttpClient
    root: str
    session: str = ""

    async def get(self, route: str) -> Any:
        """Return the JSON value of a route, as in "/v1/models". See `HttpClient.get`."""
        return await self.http.get(self.root + route)

    async def post(self, route: str, body: Mapping[str, Any]) -> Any:
        """Send a JSON object to a route. See `HttpClient.post`."""
        return await self.http.post(self.root + route, body, self._headers)

    def events(self, route: str, body: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Send a JSON object to a route that streams. See `HttpClient.events`."""
        return self.http.events(self.root + route, body, self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        """Names of the session that routers go by, to keep it at one server."""
        names = ("X-Session-ID", "X-SMG-Routing-Key") if self.session else ()
        return dict.fromkeys(names, self.session)


Look = Callable[[Connection], Awaitable[T]]
"""Function that asks one server what it is."""


class Servers:
    """The servers of one model, which are asked in an event loop of their own.

    Args:
        addresses: Address of the server, or addresses of several with the same model.
        concurrency: Largest number of requests that each server gets at once, >= 1.
        limit_s: Seconds that a request may take, > 0.
        outage_s: Seconds without an answer after which the servers count as broken.

    Attributes:
        roots: Addresses below which the routes are.
        name: Addresses for messages.

    Raises:
        ConfigError: An option is out of range, or an address is none.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        concurrency: int,
        limit_s: float,
        outage_s: float,
    ) -> None:
        check_integer("concurrency", concurrency, low=1)
        check_number("limit_s", limit_s, low=0, low_excluded=True)
        addresses = [addresses] if isinstance(addresses, str) else addresses
        self.roots = list(dict.fromkeys(map(server_root, addresses)))
        if not self.roots:
            raise ConfigError("server: expected an address, got none")
        self.name = ", ".join(self.roots)
        self._quick_s = limit_s * _QUICK
        self._look: Look[Any] | None = None
        self._probes: set[asyncio.Task[None]] = set()
        self._retries = Retries(f"the server at {self.name}", outage_s=outage_s)
        self._replicas = Replicas(self.roots, concurrency)
        self._http = HttpClient(api_key(), limit_s)
        self._loop = EventLoop(f"connections to {self.name}")

    def look(self, look: Look[T]) -> T:
        """Ask every server what it is, and return what the first one that answers says.

        A server that does not answer counts as lost until it does.

        Args:
            look: Function that asks one server. It is called again whenever a lost one may be back.
                An `RStarError` of it says that this is no server for the model.

        Raises:
            RStarError: None answers, or a server is none for the model.
        """
        self._look = look
        return self.run(self._look_at_all(look)).result()

    def may_grow(self, places: int) -> None:
        """Let every server get so many more requests at once, one more for each quick answer.

        Call it before the first request.
        """
        for replica in self._replicas.all:
            replica.growth = places

    def run(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin a coroutine in the event loop."""
        return self._loop.run(coroutine)

    async def call(self, session: str, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask the server of a session, again and elsewhere if need be.

        Args:
            session: Name of the session.
            ask: Function that makes the request.

        Raises:
            TransientError: The server stays busy or broken.
            OutageError: No server answers any more.
            RStarError: What `ask` raised.
        """
        return await self._retries.call(lambda: self._try(session, ask))

    def close(self) -> None:
        """Cancel all requests and close the connections. May be called again."""
        with suppress(Exception):
            self._loop.run(self._http.close()).result(_CLOSE_LIMIT_S)
        self._loop.close()

    async def _try(self, session: str, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask once, and at every other server if the connection fails."""
        for _ in self.roots[1:]:
            try:
                return await self._ask(session, ask)
            except UnreachableError:
                if self._replicas.all_lost:
                    raise
        return await self._ask(session, ask)

    async def _ask(self, session: str, ask: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._replicas.place(session) as replica:
            asked_at = time.monotonic()
            try:
                answer = await ask(Connection(self._http, replica.root, session))
            except TransientError as error:
                if replica.failed(isinstance(error, UnreachableError)):
                    self._lose(replica, str(error))
                raise
            except RStarError:
                replica.answered()
                raise
            replica.answered(quickly=time.monotonic() - asked_at < self._quick_s)
            return answer

    async def _look_at_all(self, look: Look[T]) -> T:
        found: list[T] = []
        faults: list[tuple[Replica, TransientError]] = []
        for replica in self._replicas.all:
            try:
                found.append(await look(Connection(self._http, replica.root)))
            except TransientError as error:
                faults.append((replica, error))
        if not found:
            raise faults[0][1]
        for replica, fault in faults:
            self._lose(replica, str(fault))
        return found[0]

    def _lose(self, replica: Replica, reason: str) -> None:
        """Take a server for lost, if there are others, and look for it from time to time."""
        if replica.lost or len(self.roots) == 1:
            return
        replica.lost = True
        _LOG.warning("lost a server: %s", reason)
        probe = asyncio.create_task(self._probe(replica))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _probe(self, replica: Replica) -> None:
        assert self._look is not None
        while True:
            await asyncio.sleep(_PROBE_S)
            try:
                await self._look(Connection(self._http, replica.root))
            except TransientError:
                continue
            except RStarError as error:
                _LOG.warning("a server is back with something else, and stays out: %s", error)
                return
            replica.lost = False
            replica.answered()
            _LOG.warning("the server at %s is back", replica.root)
            return
