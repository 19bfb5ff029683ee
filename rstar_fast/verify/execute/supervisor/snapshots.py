"""The cache of paused processes that have executed the beginning of a program."""

from collections import OrderedDict

from rstar_fast.verify.execute.supervisor.clone import Clone


class Snapshots:
    """Clones by the source they have executed; the least recently used go first. Never the truth: all can be made again."""

    def __init__(self, max_bytes: int, max_count: int) -> None:
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._clones: OrderedDict[str, Clone] = OrderedDict()
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._clones)

    @property
    def enabled(self) -> bool:
        """Whether anything is ever kept."""
        return self._max_bytes > 0

    @property
    def num_bytes(self) -> int:
        """Memory of all, an upper bound."""
        return self._num_bytes

    def get(self, source: str) -> Clone | None:
        """The clone that has executed this, now the most recently used."""
        clone = self._clones.get(source)
        if clone:
            self._clones.move_to_end(source)
        return clone

    def put(self, source: str, clone: Clone) -> list[Clone]:
        """Keep a clone; the clones that have to go for it, which the caller ends."""
        gone = []
        if source in self._clones:
            gone.append(self._drop(source))
        clone.source = source
        self._clones[source] = clone
        self._num_bytes += clone.num_bytes
        for key, other in list(self._clones.items()):
            if self._num_bytes <= self._max_bytes and len(self._clones) <= self._max_count:
                break
            if not other.num_cloning:
                gone.append(self._drop(key))
        return gone

    def remove(self, clone: Clone) -> None:
        """Forget a clone that has gone, if it is here."""
        if self._clones.get(clone.source) is clone:
            self._drop(clone.source)

    def _drop(self, source: str) -> Clone:
        clone = self._clones.pop(source)
        self._num_bytes -= clone.num_bytes
        return clone
