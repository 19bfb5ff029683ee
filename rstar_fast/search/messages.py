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


@dataclass(frozen=True, slots=True, eq=False)
class WeightUpdate:
    """A wish to change the weights of the policy. See `Searcher.update`.

    Attributes:
        change: Function that changes the weights and tells the policy.
        version: Number of the new weights.
        finish: Whether the problems under way end first.
        staleness: Number of versions that a step of a tree under way may lie behind. None for any.
        done: Future that ends with the change.
    """

    change: Callable[[], None]
    version: int
    finish: bool
    staleness: int | None
    done: "Future[None]"

    def perform(self) -> BaseException | None:
        """Change the weights. Returns the exception of a change that failed."""
        try:
            self.change()
        except BaseException as error:
            return error
        return None


@dataclass(frozen=True, slots=True)
class PolicyUpdated:
    """A change of weights that was made, behind all answers of the old ones.

    Attributes:
        update: The change.
        error: Exception of the change. None if it went well.
    """

    update: WeightUpdate
    error: BaseException | None


Message = (
    ProblemDrawn
    | ProblemsExhausted
    | LaneAnswered
    | FutureEnded
    | ThreadFailed
    | WeightUpdate
    | PolicyUpdated
    | StopAsked
)
Send = Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """The last thing that a caller receives. The search's threads have ended.

    Attributes:
        error: Exception that ended the search early. None after the last problem.
    """

    error: BaseException | None


Delivery = Tree | Failure | SearchEnded
