"""Checked answers as lists of JSON values, and back."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any, get_args, get_type_hints

from rstar_fast.policy.base import MAX_VERSION, Finish
from rstar_fast.search.answers import Answer, WrittenStep
from rstar_fast.store.fields import Kind, check_fields
from rstar_fast.verify.base import Grade, Observation

_FINISHES = get_args(Finish)


class _Fields:
    """The fields of a dataclass of plain values and enums, as a list without defaults at its end.

    Such a list can be read after fields with defaults were added at the end.
    """

    def __init__(self, answer_type: type[Any]) -> None:
        self._type = answer_type
        hints = get_type_hints(answer_type)
        self._names = [one.name for one in fields(answer_type)]
        self._enums = {name: hint for name, hint in hints.items() if issubclass(hint, StrEnum)}
        self._kinds = {
            name: Kind.of(str if name in self._enums else hint) for name, hint in hints.items()
        }
        self._defaults = [one.default for one in fields(answer_type)]
        self._get = attrgetter(*self._names)

    def plain(self, answer: Any) -> list[Any]:
        """Return the values of an answer."""
        values = list(self._get(answer))
        while values and values[-1] == self._defaults[len(values) - 1]:
            values.pop()
        return values

    def answer(self, values: list[Any]) -> Any:
        """Return the answer with these values."""
        named = dict(zip(self._names, values, strict=False))
        if len(named) < len(values):
            raise ValueError(f"{self._type.__name__} of {len(values)} values")
        check_fields(named, self._kinds)
        for name, enum in self._enums.items():
            if name in named:
                named[name] = enum(named[name])
        return self._type(**named)


_OBSERVATION, _GRADE = _Fields(Observation), _Fields(Grade)


def plain_answer(answer: Answer) -> list[Any]:
    """Return an answer as JSON values.

    Scores are a list of numbers. An observation and a grade are their fields in order. An expansion
    is, for each candidate, [text, number of token ids, number of log-probabilities, exact, finish,
    ends_with_token, version], and at its end the base64 of the token ids of all (int32), followed
    by the log-probabilities of all (float32). What is as in a `Candidate` of a text alone is left
    out at the end of a list.
    """
    if isinstance(answer, Observation):
        return _OBSERVATION.plain(answer)
    if isinstance(answer, Grade):
        return _GRADE.plain(answer)
    if isinstance(answer[0], float):
        return answer
    numbers = b"".join([*(step[1] for step in answer), *(step[2] for step in answer)])
    steps: list[Any] = [
        [text, len(ids) // 4, len(logprobs) // 4]
        if exact and finish == "mark" and not ends_with_token and not version
        else [text, len(ids) // 4, len(logprobs) // 4, exact, finish, ends_with_token, version]
        for text, ids, logprobs, exact, finish, ends_with_token, version in answer
    ]
    return [*steps, b2a_base64(numbers, newline=False).decode()]


def answer_of_plain(kind: str, values: list[Any]) -> Answer:
    """Return the answer to a request of some kind that `plain_answer` made these values of.

    Raises:
        ValueError: The values are no such answer.
        TypeError: They are not even of its shape.
        KeyError: There is no such kind.
    """
    return _READ[kind](values)


def _expansion(values: list[Any]) -> list[WrittenStep]:
    *rows, text = values
    steps = [_step(*row) for row in rows]
    counts = [step[1] for step in steps] + [step[2] for step in steps]
    numbers = a2b_base64(text, strict_mode=True)
    if len(numbers) != 4 * sum(counts):
        raise ValueError("not as many numbers as there should be")
    ends = [4 * end for end in accumulate(counts, initial=0)]
    parts = [numbers[begin:end] for begin, end in pairwise(ends)]
    return [
        WrittenStep(step[0], ids, logprobs, *step[3:])
        for step, ids, logprobs in zip(steps, parts[: len(steps)], parts[len(steps) :], strict=True)
    ]


def _step(
    text: Any,
    num_ids: Any,
    num_logprobs: Any,
    exact: Any = True,
    finish: Any = "mark",
    ends_with_token: Any = False,
    version: Any = 0,
) -> tuple[str, int, int, bool, Finish, bool, int]:
    if not isinstance(text, str) or finish not in _FINISHES:
        raise ValueError("no candidate")
    if not isinstance(exact, bool) or not isinstance(ends_with_token, bool):
        raise ValueError("no candidate")
    if type(num_ids) is not int or num_ids < 0 or num_logprobs not in (0, num_ids):
        raise ValueError("no numbers of token ids and log-probabilities")
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        raise ValueError("no version")
    return text, num_ids, int(num_logprobs), exact, finish, ends_with_token, version


def _scores(values: list[Any]) -> list[float]:
    scores = list(map(float, values))
    if not all(-1.0 <= score <= 1.0 for score in scores):
        raise ValueError("no scores")
    return scores


_READ: dict[str, Callable[[list[Any]], Answer]] = {
    "expand": _expansion,
    "run": _OBSERVATION.answer,
    "grade": _GRADE.answer,
    "score": _scores,
}
