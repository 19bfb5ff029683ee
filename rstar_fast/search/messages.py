"""The messages that arrive at the thread of the trees."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search.work import RequestResult
from rstar_fast.tree import Tree

if TYPE_CHECKING:
    from rstar_fast.search.lane import Lane
    from rstar_fast.search.workers import Workers


@dataclass(frozen=True, slots=True)
class ProblemDrawn:
    """A problem that the feeder took from the caller's iterable."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class ProblemsExhausted:
    """The end of the caller's iterable."""


@dataclass(frozen=True, slots=True)
class LaneAnswered:
    """Results of requests that a lane's model has answered."""

    lane: "Lane"
    results: list[RequestResult]


@dataclass(slots=True)
class FutureEnded:
    """A future of a worker pool that has ended.

    There is one for every program, so it is cheap to make.
    """

    workers: "Workers[Any]"
    future: "Future[Any]"


@dataclass(frozen=True, slots=True)
class ThreadFailed:
    """An exception that ended the feeder or a lane, and so ends the search."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A wish to end the search early."""


Message = ProblemDrawn | ProblemsExhausted | LaneAnswered | FutureEnded | ThreadFailed | StopAsked
Send = Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """The last thing that a caller receives. The search's threads have ended.

    Attributes:
        error: Exception that ended the search early. None after the last problem.
    """

    error: BaseException | None


Delivery = Tree | Failure | SearchEnded
