"""A stand-in for the package `reasoning_gym`, whether that is installed or not.

It has two data sets: "words" behaves well, and "bad" does everything wrong.
"""

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


def create_dataset(name: str, *, size: int, seed: int) -> Any:
    if name not in ("words", "bad"):
        raise ValueError(f"Dataset {name!r} not registered")
    return WordProblems(size, seed) if name == "words" else Bad(size, seed)
