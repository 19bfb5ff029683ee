"""The cache of programs that cannot be continued from a snapshot.

Runs in the supervisor process.
"""

import sys
from collections import OrderedDict

from rstar_fast.verify.base import Observation


class Outcomes:
    """Programs that cannot be continued from a snapshot, and why not.

    A bounded cache, keyed by source. The oldest entries go first.
    """

    def __init__(self, max_count: int, max_bytes: int) -> None:
        """Make an empty cache.

        Args:
            max_count: Largest number of programs.
            max_bytes: Memory that the texts of all programs together may use, bytes.
        """
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._outcomes: OrderedDict[str, Observation | None] = OrderedDict()

    def put(self, source: str, failure: Observation | None) -> None:
        """Remember a program.

        Args:
            source: Text of the program.
            failure: Failure that every continuation shares. None if the program ended well but its
                process could not become a snapshot.
        """
        if source not in self._outcomes:
            self._num_bytes += sys.getsizeof(source)
        self._outcomes[source] = failure
        self._outcomes.move_to_end(source)
        while len(self._outcomes) > self._max_count or self._num_bytes > self._max_bytes:
            dropped, _ = self._outcomes.popitem(last=False)
            self._num_bytes -= sys.getsizeof(dropped)

    def __contains__(self, source: str) -> bool:
        return source in self._outcomes

    def __getitem__(self, source: str) -> Observation | None:
        return self._outcomes[source]
