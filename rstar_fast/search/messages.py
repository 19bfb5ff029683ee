"""The messages that arrive at the thread of the trees."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search.activity import Activity
from rstar_fast.search.work import RequestResult
from rstar_fast.tree import Tree


@dataclass(frozen=True, slots=True)
class ProblemDrawn:
    """A problem that the feeder took from the caller's iterable."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class ProblemsExhausted:
    """The end of the caller's iterable."""


@dataclass(frozen=True, slots=True)
class LaneAnswered:
    """Results of requests that a lane's model has answered.

    Attributes:
        activity: Counts of the model's work.
        results: Results.
    """

    activity: Activity
    results: list[RequestResult]


@dataclass(slots=True)
class FutureEnded:
    """A future of a worker pool that has ended. One is made for every program, so it is light.

    Attributes:
        take: Function of the pool that makes results of the future.
        future: Future.
    """

    take: "Callable[[Future[Any]], list[RequestResult]]"
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
