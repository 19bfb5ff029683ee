"""What a search asks for, and what it may be told."""

from dataclasses import dataclass, field
from typing import Any

from rstar_fast.policy.base import ExpandRequest, Expansion
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.problems import Problem
from rstar_fast.verify.base import Grade, Observation


# There is one for every candidate, and a frozen one takes three times as long to make.
@dataclass(slots=True)
class RunRequest:
    """Run the last step of an open code block. Not to be changed.

    Attributes:
        id: the request's number, unique within its search.
        problem_id: whose tree.
        node: tree-local id of the step's node.
        steps: texts of the block's steps, the one to observe last.
    """

    id: int
    problem_id: str
    node: int
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GradeRequest:
    """Say whether `answer` is right for `problem`; `node` is the first of the tree's nodes that gives it."""

    id: int
    problem: Problem
    node: int
    answer: str


Request = ExpandRequest | RunRequest | GradeRequest | ScoreRequest
Result = Expansion | Observation | Grade | Scores | Exception
RequestResult = tuple[int, Result]
"""The id of a request, and its result."""

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
    """Requests to be answered, in any order and by any engine."""

    expand: list[ExpandRequest] = field(default_factory=list)
    run: list[RunRequest] = field(default_factory=list)
    grade: list[GradeRequest] = field(default_factory=list)
    score: list[ScoreRequest] = field(default_factory=list)

    def of(self, kind: str) -> list[Any]:
        """The requests of one kind, of those in `KIND_OF`."""
        requests: list[Any] = getattr(self, kind)
        return requests

    def __len__(self) -> int:
        return len(self.expand) + len(self.run) + len(self.grade) + len(self.score)
