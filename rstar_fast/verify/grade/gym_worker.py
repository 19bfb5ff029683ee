"""The worker process that makes entries of `reasoning_gym` and scores answers to them.

It sets no alarms of its own: when a request takes too long, the pool kills this process.
"""

import signal
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from importlib import import_module
from typing import Any

from rstar_fast.problems.gym import GYM, MAX_SIZE
from rstar_fast.verify.base import Status
from rstar_fast.verify.pool.worker import Channel, serve
from rstar_fast.verify.sandbox.kernel import PR_SET_PDEATHSIG, prctl
from rstar_fast.verify.sandbox.lockdown import Confinement, lock_down, readable_roots

_CONFINEMENT = Confinement(memory_bytes=4 << 30, max_processes=4096)
"""Limits of a worker. The pool limits its wall time."""


def _start(options: dict[str, Any], channel: Channel) -> Callable[[dict[str, Any]], dict[str, Any]]:
    gym = import_module(GYM)
    lock_down(_CONFINEMENT, readable_roots())
    # Set again after the lockdown, because a change of the user id clears it.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    @lru_cache(maxsize=16)
    def dataset(name: str, size: int, seed: int) -> Any:
        return gym.create_dataset(name, size=size, seed=seed * MAX_SIZE)

    @lru_cache(maxsize=4096)
    def entry(name: str, size: int, seed: int, index: int) -> dict[str, Any]:
        found: dict[str, Any] = dataset(name, size, seed)[index]
        return found

    def work(request: dict[str, Any]) -> dict[str, Any]:
        name, size, seed, index = request["entry"]
        if "answer" not in request:
            try:
                return _plain(entry(name, size, seed, index), dataset(name, size, seed)[index])
            except Exception as error:
                return {"error": f"{type(error).__name__}: {error}"}
        try:
            known = deepcopy(entry(name, size, seed, index))
            if known["question"] != request["question"]:
                raise ValueError("the id belongs to another question")
            score = dataset(name, size, seed).score_answer(request["answer"].strip(), known)
            return {"correct": bool(score == 1), "status": Status.OK}
        except Exception:
            return {"correct": False, "status": Status.ERROR}

    return work


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
