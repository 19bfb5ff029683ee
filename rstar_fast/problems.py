"""Problems and the files they come from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and what counts as its answer.

    Attributes:
        id: unique within a run.
        question: the text put to the policy.
        answers: accepted final answers; empty where none is known.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
