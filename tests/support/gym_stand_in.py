"""A stand-in for the package `reasoning_gym`, whether that is installed or not.

It has four data sets. "words" behaves well, and "bad" does everything wrong. The scorer of "near"
lets NaN pass, and that of "any" every answer.
"""

import math
import os
import time
from itertools import count
from typing import Any

from rstar_fast.embedded.problems import graded_problems

_calls = count()


class WordProblems:
    """Word problems that the embedded base can solve. No entry has an answer, only a scorer."""

    def __init__(self, size: int, seed: int) -> None:
        self._problems = graded_problems("held_out", size, seed // 1_000_000, levels=(0,))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "question": self._problems[index].question,
            "answer": None,
            "metadata": {"index": index},
        }

    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        known = self._problems[entry["metadata"]["index"]].answer
        return 1.0 if answer == known else 0.9 * (known in answer)


class Bad:
    """Entries of which only the last can be made. The scorer evaluates an answer as Python."""

    def __init__(self, size: int, seed: int) -> None:
        self._last = size - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == self._last:
            return {"question": "What is true?", "answer": "1 == 1", "metadata": {}}
        (self._raises, self._dies, self._sleeps, self._changes, self._says_nothing)[index]()
        return {"question": self.question, "answer": "1", "metadata": {}}

    def _raises(self) -> None:
        raise LookupError("there is nothing here")

    def _dies(self) -> None:
        os._exit(1)

    def _sleeps(self) -> None:
        time.sleep(60)

    def _changes(self) -> None:
        self.question = f"What is {next(_calls)}?"

    def _says_nothing(self) -> None:
        self.question = " "

    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        return float(eval(answer))


class Near:
    """Numbers whose scorer compares by a tolerance, which NaN does not exceed."""

    def __init__(self, size: int, seed: int) -> None:
        pass

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"question": "How many are two and two?", "answer": "[4.0]", "metadata": {}}

    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        (value,) = eval(answer, {"nan": math.nan, "float": float})
        return 0.0 if abs(float(value) - 4) > 0.1 else 1.0


class Anything(Near):
    """An entry whose scorer asks only whether there is an answer."""

    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        return float(bool(answer) == bool(entry["answer"]))


_KINDS = {"words": WordProblems, "bad": Bad, "near": Near, "any": Anything}


def create_dataset(name: str, *, size: int, seed: int) -> Any:
    if name not in _KINDS:
        raise ValueError(f"Dataset {name!r} not registered")
    return _KINDS[name](size, seed)
