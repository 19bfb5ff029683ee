"""The cache of paused processes that have executed the beginning of a program.

Runs in the supervisor process.
"""

from collections import OrderedDict

from rstar_fast.verify.execute.supervisor.clone import Clone


class Snapshots:
    """Snapshots, keyed by the source that they have executed.

    The least recently used go first. Losing one costs time only: its program can be run again.
    What a dropped snapshot shared with those cloned from it counts as theirs from then on.
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
        if isinstance(clone.parent, Clone):
            if self._holds(clone.parent):
                clone.parent.heirs.append(clone)
            else:
                clone.num_bytes += clone.parent.num_bytes
        self._num_bytes += clone.num_bytes
        return dropped + self._drop_down_to(self._max_count)

    def grow(self, clone: Clone, num_bytes: int) -> list[Clone]:
        """Note that a snapshot turned out to be larger. Returns what was dropped, as `put` does."""
        if self._holds(clone) and num_bytes > clone.num_bytes:
            self._num_bytes += num_bytes - clone.num_bytes
            clone.num_bytes = num_bytes
        return self._drop_down_to(self._max_count)

    def drop_some(self) -> list[Clone]:
        """Drop a quarter of the snapshots. Returns them, as `put` does."""
        return self._drop_down_to(len(self) * 3 // 4)

    def _drop_down_to(self, max_count: int) -> list[Clone]:
        dropped = []
        for source, clone in list(self._clones.items()):
            if self._num_bytes <= self._max_bytes and len(self._clones) <= max_count:
                break
            if not clone.num_cloning:
                dropped.append(self._drop(source))
        return dropped

    def _holds(self, clone: Clone) -> bool:
        return self._clones.get(clone.source) is clone

    def remove(self, clone: Clone) -> None:
        """Forget a snapshot that is gone. Does nothing for any other clone."""
        if self._holds(clone):
            self._drop(clone.source)

    def _drop(self, source: str) -> Clone:
        clone = self._clones.pop(source)
        heirs = [heir for heir in clone.heirs if self._holds(heir)]
        if heirs:
            heirs[0].num_bytes += clone.num_bytes
            heirs[0].heirs += heirs[1:]
        else:
            self._num_bytes -= clone.num_bytes
        return clone
