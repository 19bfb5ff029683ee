"""The interface of a scorer: it is given partial solutions and scores their last step."""

from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rstar_fast.steps import Segment
from rstar_fast.tree import total_logprob


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A request for the scores of one node's children.

    Attributes:
        id: Number of the request, unique within its search.
        problem_id: Name of the problem.
        node: Id of the parent, within its tree.
        question: Text of the problem.
        path: Solution up to and including the parent, root first. A segment is a step with its
            observation.
        children: Texts of the children, observations included. Each is scored as `path + child`.
        path_logprobs: Log-probabilities under the policy of the tokens of each step of the path,
            nats, as the bytes of float32 numbers. b"" where the policy does not tell.
        child_logprobs: Log-probabilities of the tokens of each child, in the form of
            `path_logprobs`. () where none are known.
        first_candidate: Number of candidates that were drawn at the parent before these children.
        path_observations: What running each step of the path showed where its text does not have
            it, or "". See `Node.unseen_observation`. () where none are known.
        child_observations: The same for each child.
    """

    id: int
    problem_id: str
    node: int
    question: str
    path: tuple[Segment, ...]
    children: tuple[str, ...]
    path_logprobs: tuple[bytes, ...] = ()
    child_logprobs: tuple[bytes, ...] = ()
    first_candidate: int = 0
    path_observations: tuple[str, ...] = ()
    child_observations: tuple[str, ...] = ()

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probability of all that the policy wrote on the path to each child, nats.

        NaN where the policy does not tell.
        """
        before = sum(map(total_logprob, self.path_logprobs), 0.0)
        return tuple([before + total_logprob(child) for child in self.child_logprobs])


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer to a `ScoreRequest`.

    Attributes:
        request_id: Number of the request.
        values: Scores in [-1, 1], float64 [children]. Empty if there is an error.
        error: Reason why there are no scores. None if there are some.
    """

    request_id: int
    values: NDArray[np.float64]
    error: str | None = None


class Scorer(Protocol):
    """An engine that scores batches of requests. A request gets the same scores in any batch.

    Attributes:
        name: Name of the model for the run record.
    """

    name: str

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order.

        A request that cannot be scored gets an `error`. Only a broken engine raises.
        """


class AsyncScorer(Protocol):
    """An engine that scores each request for itself. See `policy.AsyncPolicy`.

    Attributes:
        name: Name of the model for the run record.
    """

    name: str

    def submit(self, request: ScoreRequest) -> "Future[Scores] | Awaitable[Scores]":
        """Begin one request. It must not wait. An `async def` will do."""
