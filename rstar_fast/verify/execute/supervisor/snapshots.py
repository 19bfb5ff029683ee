"""The cache of paused processes that have executed the beginning of a program.

Runs in the supervisor process.
"""

from collections import OrderedDict

from rstar_fast.verify.execute.supervisor.clone import Clone


class Snapshots:
    """Snapshots, keyed by the source that they have executed.

    The least recently used go first. Losing one costs time only: its program can be run again.
    """

    def __init__(self, max_bytes: int, max_count: int) -> None:
        """Make an empty cache.

        Args:
            max_bytes: Memory that all snapshots together may use, bytes. 0 keeps none.
            max_count: Largest number of snapshots.
        """
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._clones: OrderedDict[str, Clone] = OrderedDict()
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._clones)

    @property
    def enabled(self) -> bool:
        """Whether any snapshot is ever kept."""
        return self._max_bytes > 0

    @property
    def num_bytes(self) -> int:
        """Upper bound of the memory of all snapshots, bytes."""
        return self._num_bytes

    def get(self, source: str) -> Clone | None:
        """Return the snapshot that has executed a source, and mark it as used. None if missing."""
        clone = self._clones.get(source)
        if clone:
            self._clones.move_to_end(source)
        return clone

    def put(self, source: str, clone: Clone) -> list[Clone]:
        """Keep a snapshot and drop others if there is no room.

        A snapshot of which a clone is requested is not dropped.

        Returns:
            The snapshots that were dropped, which may include the new one. The caller kills them.
        """
        dropped = []
        if source in self._clones:
            dropped.append(self._drop(source))
        clone.source = source
        self._clones[source] = clone
        self._num_bytes += clone.num_bytes
        for key, other in list(self._clones.items()):
            if self._num_bytes <= self._max_bytes and len(self._clones) <= self._max_count:
                break
            if not other.num_cloning:
                dropped.append(self._drop(key))
        return dropped

    def remove(self, clone: Clone) -> None:
        """Forget a snapshot that is gone. Does nothing for any other clone."""
        if self._clones.get(clone.source) is clone:
            self._drop(clone.source)

    def _drop(self, source: str) -> Clone:
        clone = self._clones.pop(source)
        self._num_bytes -= clone.num_bytes
        return clone
