"""Grading of answers as reward functions of trainers.

`math_reward` is for TRL, `compute_score` for verl. Answers are compared in confined worker
processes that can be killed. What a completion says is never evaluated in this process, and no
answer shares a process with another. So a completion can neither change the grade of another one
nor hold it up for longer than its limit.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from math import isfinite
from typing import Any, Self

import numpy as np

from rstar_fast.boxes import last_boxed
from rstar_fast.errors import ConfigError
from rstar_fast.marks import CODE, STOP_MARKS, unescape
from rstar_fast.marks.step_text import stop_end
from rstar_fast.marks.thinking import without_thinking
from rstar_fast.problems import Problem
from rstar_fast.steps import answer_of, closes_code
from rstar_fast.verify.base import Grade
from rstar_fast.verify.grade.verifiers import MathVerifier

Completion = str | Sequence[dict[str, Any]]
"""A text, or a conversation of messages with `role` and `content`."""

_WORKERS = min(8, os.cpu_count() or 1)
_NUMBER_BITS = 8192
"""Size of the largest number that is an answer. Python spells no integer of over 4,300 digits."""


def answer_in(completion: Completion) -> str | None:
    r"""Return the answer that a completion gives, or None if it gives none.

    In a solution with the marks of this package it is the answer of the last step that has one, by
    the rules of `steps.answer_of`. In any other text it is what the last box holds. A box in a
    thinking part is no answer. A conversation that ends with a message of a tool or a user gives
    none.

    >>> answer_in(r"<think>\boxed{1}?</think> It is \boxed{2}, no, \boxed{3}.")
    '3'
    >>> answer_in("x = 3\nprint('\\\\boxed{4}')\n<end_of_code>") is None
    True
    """
    text = without_thinking(text_of(completion))
    if not _is_of_model(completion):
        return None
    if not any(mark in text for mark in STOP_MARKS):
        found = last_boxed(text)
        return None if found is None else unescape(found)
    answer, in_code, begin = None, False, 0
    while begin < len(text):
        end = stop_end(text, start=begin)
        step = text[begin:end] if end > 0 else text[begin:]
        begin += len(step)
        here = answer_of(step, in_code)
        answer = answer if here is None else here
        in_code = not closes_code(step) and (in_code or CODE in step)
    return answer


def _is_of_model(completion: Completion) -> bool:
    """Return whether the last message of a conversation, if it is one, is the model's."""
    if isinstance(completion, str) or not completion:
        return True
    return bool(completion[-1].get("role", "assistant") == "assistant")


def text_of(completion: Completion) -> str:
    """Return the text of a completion: that of its last message, if it is a conversation.

    Raises:
        ConfigError: It is neither a text nor a conversation.
    """
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence):
        if not completion:
            return ""
        content = completion[-1].get("content") if isinstance(completion[-1], dict) else ()
        if content is None:
            return ""
        if isinstance(content, str):
            return content
        if isinstance(content, list) and all(isinstance(part, dict) for part in content):
            return "".join(str(part.get("text") or "") for part in content)
    raise ConfigError(
        "completion: expected a text, or messages with a content of text, got "
        f"{type(completion).__name__}"
    )


class MathReward:
    r"""Grades completions of mathematical problems. A context manager, which stops the workers.

    >>> with MathReward() as reward:
    ...     reward([r"So \boxed{0.5}", r"\boxed{2}", "none"], [r"\frac{1}{2}", "1", "1"])
    [1.0, 0.0, 0.0]
    """

    def __init__(self, workers: int = _WORKERS, limit_s: float = 5.0) -> None:
        """Make a grader. Its workers start with the first answer that its spelling leaves open.

        Args:
            workers: Number of answers that are compared at once, in 1..4096.
            limit_s: Seconds for one answer, > 0. Taking longer is unsure.

        Raises:
            ConfigError: A number is out of range.
        """
        self._verifier = MathVerifier(workers, limit_s)
        self.__name__ = "math_reward"

    def __call__(
        self,
        completions: Sequence[Completion],
        answer: Sequence[Any],
        question: Sequence[str] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return 1 for each right completion, 0 for a wrong one, and None where that is unsure.

        This is the form of TRL's reward functions: columns of the data set come by name, one value
        for each completion. All answers are submitted before the first is waited for.

        Args:
            completions: Texts, or conversations.
            answer: Accepted answer of each completion: a text, a number, or a list of them. None
                where none is known, which is unsure.
            question: Text of each problem, which tells the units that are meant. None for none.
            columns: Other columns. They are not looked at.

        Raises:
            ConfigError: There is not one answer for each completion, or a value is of another kind.
            ExecutorError: The workers cannot be started.
        """
        if isinstance(completions, str) or not isinstance(completions, Sequence):
            raise ConfigError(
                f"math_reward: completions: expected a list, got {type(completions).__name__}"
            )
        answers = _column("answer", answer, len(completions))
        questions: Sequence[Any] = [""] * len(completions)
        if question is not None:
            questions = _column("question", question, len(completions))
        waiting = [self._submit(*one) for one in zip(completions, answers, questions, strict=True)]
        return [_reward(future.result()) for future in waiting]

    def compute_score(
        self,
        data_source: str,
        solution_str: str,
        ground_truth: Any,
        extra_info: dict[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, float]:
        """Return the score of a completion in the form of verl's reward functions.

        verl cannot leave a completion out. So an unsure one has the score 0, and `unsure` is 1.

        Args:
            data_source: Name of the data set, which is not looked at.
            solution_str: Text of the completion.
            ground_truth: Accepted answer, as in `__call__`.
            extra_info: Further fields of the row, of which `question` is looked at.
            options: Other options of verl. They are not looked at.
        """
        return _score(self._submit(solution_str, ground_truth, _question(extra_info)).result())

    async def compute_score_async(
        self,
        data_source: str,
        solution_str: str,
        ground_truth: Any,
        extra_info: dict[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, float]:
        """Return what `compute_score` does without holding up the event loop."""
        future = self._submit(solution_str, ground_truth, _question(extra_info))
        return _score(await asyncio.wrap_future(future))

    def close(self) -> None:
        """Stop the workers. Answers that are not graded yet are unsure. May be called again."""
        self._verifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(self, completion: Completion, gold: Any, question: Any) -> "Future[Grade]":
        accepted = accepted_answers(gold)
        answer = answer_in(completion)
        if not accepted:
            return _settled(Grade(False, unsure=True))
        if not answer:
            return _settled(Grade(False))
        text = question if isinstance(question, str) else ""
        return self._verifier.submit(Problem("reward", text, accepted), answer)


def accepted_answers(gold: Any) -> tuple[str, ...]:
    """Return the accepted answers of a row of a data set.

    Args:
        gold: A text, a number, or a list or NumPy array of them. None, and a number that is NaN or
            infinite, as tables have where nothing is known, are no answer.

    Raises:
        ConfigError: It is of another kind.
    """
    if isinstance(gold, np.ndarray | np.generic):
        gold = gold.tolist()
    values = gold if isinstance(gold, list | tuple) else [gold]
    found = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise ConfigError(
                f"answer: expected a text, a number or a list of them, got {type(value).__name__}"
            )
        if isinstance(value, int) and value.bit_length() > _NUMBER_BITS:
            raise ConfigError(
                f"answer: expected a number of at most {_NUMBER_BITS} bits, got one of "
                f"{value.bit_length()}"
            )
        if value is not None and not (isinstance(value, float) and not isfinite(value)):
            found.append(str(value))
    return tuple(found)


def _column(name: str, values: Any, count: int) -> Sequence[Any]:
    """Return the values of a column, one for each completion."""
    is_list = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
    if not is_list or len(values) != count:
        got = f"{len(values)}" if is_list else type(values).__name__
        raise ConfigError(
            f"math_reward: {name}: expected a list of {count}, one for each completion, got {got}"
        )
    column: Sequence[Any] = values
    return column


def _question(extra_info: Any) -> Any:
    return extra_info.get("question", "") if isinstance(extra_info, dict) else ""


def _reward(grade: Grade) -> float | None:
    return None if grade.unsure else float(grade.correct)


def _score(grade: Grade) -> dict[str, float]:
    right = float(grade.correct)
    return {"score": right, "acc": right, "unsure": float(grade.unsure)}


def _settled(grade: Grade) -> "Future[Grade]":
    future: Future[Grade] = Future()
    future.set_result(grade)
    return future


_graders: dict[int, MathReward] = {}
"""The grader of the functions below, by process: a forked process needs workers of its own."""
_lock = threading.Lock()


def _grader() -> MathReward:
    with _lock:
        if os.getpid() not in _graders:
            _graders[os.getpid()] = MathReward()
            atexit.register(close)
        return _graders[os.getpid()]


def math_reward(
    completions: Sequence[Completion],
    answer: Sequence[Any],
    question: Sequence[str] | None = None,
    **columns: Any,
) -> list[float | None]:
    """Return the rewards of completions by a grader of this process, see `MathReward.__call__`."""
    return _grader()(completions, answer, question, **columns)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, float]:
    """Return the score of a completion by a grader of this process, as `MathReward` does."""
    return _grader().compute_score(data_source, solution_str, ground_truth, extra_info, **options)


async def compute_score_async(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, float]:
    """Return what `compute_score` does without holding up the event loop."""
    return await _grader().compute_score_async(
        data_source, solution_str, ground_truth, extra_info, **options
    )


def close() -> None:
    """Stop the workers of this process. They start again when they are needed."""
    with _lock:
        grader = _graders.pop(os.getpid(), None)
    if grader is not None:
        grader.close()
