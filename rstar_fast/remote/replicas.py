"""The servers of one model, and which of them a request goes to."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

_SESSIONS_KEPT = 1 << 16
_SPARE = 4
"""Number of requests by which the load of a server may exceed twice the least load."""
_FAULTS = 3
"""Number of faults in a row after which a server counts as lost, if there are others."""


class Replica:
    """One server.

    Args:
        root: Address below which its routes are.
        concurrency: Largest number of requests that it gets at once.

    Attributes:
        root: Address below which its routes are.
        load: Number of requests that it has or that wait for a place.
        lost: Whether it is taken to be gone.
        places: Places for requests.
        growth: Number of places that may be added.
    """

    def __init__(self, root: str, concurrency: int) -> None:
        self.root = root
        self.load = 0
        self.lost = False
        self.places = asyncio.Semaphore(concurrency)
        self.growth = 0
        self._faults = 0

    def answered(self, quickly: bool = False) -> None:
        """Note an answer of any kind. One that came quickly adds a place, if one may be added."""
        self._faults = 0
        if quickly and self.growth:
            self.growth -= 1
            self.places.release()

    def failed(self, gone: bool) -> bool:
        """Note a fault. Returns whether the server is to be taken for lost."""
        self._faults += 1
        return gone or self._faults >= _FAULTS


class Replicas:
    """The servers of one model.

    The requests of a session stay with one server, which has their prefixes in its cache. A session
    begins at the server with the least load. It moves when its server is lost, and a request goes
    elsewhere where its server has much more to do than another.

    Args:
        roots: Addresses of the servers.
        concurrency: Largest number of requests that each server gets at once.
    """

    def __init__(self, roots: Sequence[str], concurrency: int) -> None:
        self.all = [Replica(root, concurrency) for root in roots]
        self._homes: OrderedDict[str, Replica] = OrderedDict()

    @asynccontextmanager
    async def place(self, session: str) -> AsyncIterator[Replica]:
        """Wait for a place at the server of a session, and hold it."""
        while True:
            replica = self._choose(session)
            replica.load += 1
            try:
                async with replica.places:
                    if replica.lost and not self.all_lost:
                        continue
                    yield replica
                    return
            finally:
                replica.load -= 1

    @property
    def all_lost(self) -> bool:
        """Whether every server is lost."""
        return all(replica.lost for replica in self.all)

    def _choose(self, session: str) -> Replica:
        # If all are lost, one must be tried all the same.
        there = [replica for replica in self.all if not replica.lost] or self.all
        least = min(there, key=lambda replica: replica.load)
        home = self._homes.pop(session, least)
        if home not in there:
            home = least
        self._homes[session] = home
        if len(self._homes) > _SESSIONS_KEPT:
            self._homes.popitem(last=False)
        return least if home.load > 2 * least.load + _SPARE else home
