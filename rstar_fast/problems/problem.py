"""A problem: a question and the answers that are accepted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rstar_fast.errors import ProblemError


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its accepted answers.

    >>> Problem("p1", "What is 6 * 7?", "42").answers
    ('42',)

    Attributes:
        id: Name of the problem, unique within a run.
        question: Text that is put to the policy.
        answers: Accepted final answers. Empty where none is known. A single string is taken as one
            answer, and any other iterable of strings becomes a tuple.
        copy: Number of this copy where a problem is searched several times, >= 0. None otherwise.

    Raises:
        ProblemError: A text is not text that UTF-8 can hold, or `copy` is not a count.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    copy: int | None = None

    if TYPE_CHECKING:
        # The fields as they are given, which `__post_init__` makes plain.
        def __init__(
            self,
            id: str,
            question: str,
            answers: str | Iterable[str] = (),
            copy: int | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("id", "question"):
            if not isinstance(getattr(self, name), str):
                raise ProblemError(
                    f"problem: {name}: expected text, got {type(getattr(self, name)).__name__}"
                )
        if not isinstance(self.answers, tuple) or not all(
            isinstance(one, str) for one in self.answers
        ):
            object.__setattr__(self, "answers", _as_answers(self.answers, self.id))
        is_count = isinstance(self.copy, int) and not isinstance(self.copy, bool)
        if self.copy is not None and (not is_count or self.copy < 0):
            raise ProblemError(
                f"problem {self.id!r}: copy: expected an integer of at least 0, got {self.copy!r}"
            )
        for text in (self.id, self.question, *self.answers):
            if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
                raise ProblemError(
                    f"problem {self.id!r}: half of a surrogate pair, which no UTF-8 file can hold, "
                    f"in {text[:60]!r}"
                )

    @property
    def key(self) -> str:
        """Name of this problem and copy, such as "p1" or "p1#0".

        The random draws of a search depend on the seed and on this name.

        >>> Problem("p1", "What is 6 * 7?", copy=2).key
        'p1#2'
        """
        return self.id if self.copy is None else f"{self.id}#{self.copy}"


def _as_answers(given: object, problem_id: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = (given,)
    answers = tuple(given)
    for answer in answers:
        if not isinstance(answer, str):
            raise ProblemError(f"problem {problem_id!r}: answers: expected strings, got {answer!r}")
    return answers
