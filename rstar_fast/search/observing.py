"""The interface of an observer, which sees when a search asks for what, and when it is told."""

from collections.abc import Sequence
from typing import Protocol

from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search.work import RequestResult, Work
from rstar_fast.tree import Tree


class Observer(Protocol):
    """What a `Searcher` tells about its requests. All calls come in the thread of the trees.

    They must not change what they are given, and take the time of the search.
    """

    def began(self, problems: Sequence[Problem]) -> None:
        """Note problems whose search begins."""

    def asked(self, work: Work) -> None:
        """Note requests that are handed to the engines."""

    def told(self, results: Sequence[RequestResult]) -> None:
        """Note results that have arrived."""

    def ended(self, ended: Tree | Failure) -> None:
        """Note a problem whose search has ended."""
