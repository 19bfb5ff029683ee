"""What a PPM scorer is: it is given partial solutions and says how good their last step is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rstar_fast.steps import Segment


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Score the children of one node.

    Attributes:
        id: the request's number, unique within its search.
        problem_id: whose tree.
        node: tree-local id of the parent.
        question: the problem's text.
        path: the solution up to and including the parent, root first; a segment is a step with its observation.
        children: the texts of the children to score, observations included, each scored as `path + child`.
        logprobs: log-probability of all that the policy wrote on the path to each child, nats; NaN, or () of all, where it does not
            tell.
    """

    id: int
    problem_id: str
    node: int
    question: str
    path: tuple[Segment, ...]
    children: tuple[str, ...]
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer to a `ScoreRequest`: float64 [len(children)] in [-1, 1], or the reason there is none."""

    request_id: int
    values: NDArray[np.float64]
    error: str | None = None


class Scorer(Protocol):
    """Scores batches of requests. The same request gets the same scores whatever the batch."""

    name: str
    """Identity for the run record."""

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order. One bad request gets an `error`; only a broken engine raises."""
