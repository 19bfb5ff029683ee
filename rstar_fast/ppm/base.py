"""What a PPM scorer is: it is given partial solutions and says how good their last step is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rstar_fast.steps import Segment
from rstar_fast.tree import total_logprob


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
        path_logprobs: of each step of the path, the log-probabilities of its tokens under the policy, nats, as float32;
            b"" where it does not tell.
        child_logprobs: likewise of each child; () where none are known.
    """

    id: int
    problem_id: str
    node: int
    question: str
    path: tuple[Segment, ...]
    children: tuple[str, ...]
    path_logprobs: tuple[bytes, ...] = ()
    child_logprobs: tuple[bytes, ...] = ()

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probability of all that the policy wrote on the path to each child, nats; NaN where it does not tell."""
        before = sum(map(total_logprob, self.path_logprobs), 0.0)
        return tuple([before + total_logprob(child) for child in self.child_logprobs])


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
