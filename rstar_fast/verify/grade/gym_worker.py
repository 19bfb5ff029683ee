"""The worker process that makes entries of `reasoning_gym` and scores answers to them.

Entries are made, and answers scored, in confined clones.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import lru_cache
from importlib import import_module
from numbers import Real
from typing import Any

from rstar_fast.problems.gym import GYM, MAX_SIZE
from rstar_fast.verify.base import Status
from rstar_fast.verify.grade.clones import Preparation, Work, in_clones
from rstar_fast.verify.grade.non_numbers import holds_non_number
from rstar_fast.verify.pool.worker import Channel, serve

_NONSENSE = "no answer \N{REPLACEMENT CHARACTER}"
"""Answer that is right for no entry."""


def _start(options: dict[str, Any], channel: Channel) -> Work:
    return in_clones(_load, options["limit_s"])


def _load() -> tuple[Preparation, Work]:
    gym = import_module(GYM)

    @lru_cache(maxsize=16)
    def dataset(name: str, size: int, seed: int) -> Any:
        return gym.create_dataset(name, size=size, seed=seed * MAX_SIZE)

    @lru_cache(maxsize=4096)
    def entry(name: str, size: int, seed: int, index: int) -> dict[str, Any]:
        found: dict[str, Any] = dataset(name, size, seed)[index]
        return found

    def prepare(request: dict[str, Any]) -> None:
        name, size, seed, _ = request["entry"]
        dataset(name, size, seed)
        if "answer" in request:
            entry(*request["entry"])

    def work(request: dict[str, Any]) -> dict[str, Any]:
        name, size, seed, index = request["entry"]
        if "answer" not in request:
            try:
                return _plain(entry(name, size, seed, index), dataset(name, size, seed)[index])
            except Exception as error:
                return {"error": f"{type(error).__name__}: {error}"}
        known = entry(name, size, seed, index)
        if known["question"] != request["question"]:
            raise ValueError("the id belongs to another question")
        scorer = dataset(name, size, seed).score_answer
        correct = _is_right(request["answer"].strip(), known, scorer)
        return {"correct": correct, "status": Status.OK}

    return prepare, work


def _is_right(
    answer: str, entry: dict[str, Any], scorer: Callable[[str, dict[str, Any]], object]
) -> bool:
    """Return whether a scorer gives an answer, and not nonsense too, the highest score."""
    if not _is_highest(scorer(answer, deepcopy(entry))):
        return False
    if holds_non_number(answer, str(entry["answer"]), entry["question"]):
        return False
    with suppress(Exception):
        if _is_highest(scorer(_NONSENSE, deepcopy(entry))):
            return False
    return True


def _is_highest(score: object) -> bool:
    return isinstance(score, Real) and float(score) == 1


def _plain(entry: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """Return the question and the answer of an entry that was made twice, as a payload.

    Raises:
        ValueError: The question is not text, differs between the two, or cannot be encoded.
    """
    question, answer = entry["question"], entry["answer"]
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"expected a question, got {question!r}")
    if question != again["question"]:
        raise ValueError("made twice, it has two questions, so no answer to it can be scored")
    answer = "" if answer is None else str(answer).strip()
    for text in (question, answer):
        text.encode()
    return {"question": question, "answer": answer}


def main(parent_pid: int) -> None:
    """Serve requests for entries and scores until the main process ends.

    Args:
        parent_pid: Process id of the main process.
    """
    serve(parent_pid, _start)
