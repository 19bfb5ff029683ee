"""Checked answers as lists of JSON values, and back."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, get_args, get_type_hints

from rstar_fast.policy.base import Finish
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
    is, for each candidate, [text, token ids, log-probabilities, exact, finish], where the second
    and third are the base64 of int32 and float32 numbers.
    """
    if isinstance(answer, Observation):
        return _OBSERVATION.plain(answer)
    if isinstance(answer, Grade):
        return _GRADE.plain(answer)
    if isinstance(answer[0], float):
        return answer
    return [
        [text, b64encode(ids).decode(), b64encode(logprobs).decode(), exact, finish]
        for text, ids, logprobs, exact, finish in answer
    ]


def answer_of_plain(kind: str, values: list[Any]) -> Answer:
    """Return the answer to a request of some kind that `plain_answer` made these values of.

    Raises:
        ValueError: The values are no such answer.
        TypeError: They are not even of its shape.
        KeyError: There is no such kind.
    """
    return _READ[kind](values)


def _step(text: Any, ids: Any, logprobs: Any, exact: Any, finish: Any) -> WrittenStep:
    if not isinstance(text, str) or not isinstance(exact, bool) or finish not in _FINISHES:
        raise ValueError("no candidate")
    step = (text, b64decode(ids, validate=True), b64decode(logprobs, validate=True), exact, finish)
    if len(step[1]) % 4 or len(step[2]) not in (0, len(step[1])):
        raise ValueError("no token ids and log-probabilities")
    return step


def _scores(values: list[Any]) -> list[float]:
    scores = list(map(float, values))
    if not all(-1.0 <= score <= 1.0 for score in scores):
        raise ValueError("no scores")
    return scores


_READ: dict[str, Callable[[list[Any]], Answer]] = {
    "expand": lambda values: [_step(*value) for value in values],
    "run": _OBSERVATION.answer,
    "grade": _GRADE.answer,
    "score": _scores,
}
