"""The requests of a search, and the results it may be told."""

from dataclasses import dataclass, field
from typing import Any

from rstar_fast.policy.base import ExpandRequest, Expansion
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Observation


# One is made for every candidate, and a frozen dataclass takes three times as long to make.
@dataclass(slots=True)
class RunRequest:
    """A request to run the last step of an open code block. Treat it as frozen.

    Attributes:
        id: Number of the request, unique within its search.
        problem_id: Key of the problem (`Problem.key`).
        node: Id of the step's node in its tree.
        steps: Texts of the block's steps. The last one is observed.
        parent: Id of the node that was expanded.
    """

    id: int
    problem_id: str
    node: int
    steps: tuple[str, ...]
    parent: int = 0


@dataclass(frozen=True, slots=True)
class GradeRequest:
    """A request to say whether an answer is right.

    Attributes:
        id: Number of the request, unique within its search.
        problem: Problem that was answered.
        node: Id of the first node of the tree that gives the answer.
        answer: The answer.
    """

    id: int
    problem: Problem
    node: int
    answer: str


Request = ExpandRequest | RunRequest | GradeRequest | ScoreRequest
Result = Expansion | Observation | Grade | Scores | Exception
RequestResult = tuple[int, Result]
"""Id of a request, and its result."""

RESULT_OF: dict[type[Request], type[Result]] = {
    ExpandRequest: Expansion,
    RunRequest: Observation,
    GradeRequest: Grade,
    ScoreRequest: Scores,
}
KIND_OF: dict[type[Request], str] = {
    ExpandRequest: "expand",
    RunRequest: "run",
    GradeRequest: "grade",
    ScoreRequest: "score",
}


@dataclass(slots=True)
class Work:
    """Requests that wait for answers, in any order and from any engine.

    Attributes:
        expand: Requests for steps.
        run: Requests to run a step.
        grade: Requests to grade an answer.
        score: Requests for scores.
        dropped: Ids of requests, of these or former ones, whose problem has ended before they were
            answered. Their results would be ignored.
    """

    expand: list[ExpandRequest] = field(default_factory=list)
    run: list[RunRequest] = field(default_factory=list)
    grade: list[GradeRequest] = field(default_factory=list)
    score: list[ScoreRequest] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)

    def of(self, kind: str) -> list[Any]:
        """Return the requests of one kind, named as in `KIND_OF`."""
        requests: list[Any] = getattr(self, kind)
        return requests

    def __len__(self) -> int:
        return len(self.expand) + len(self.run) + len(self.grade) + len(self.score)
