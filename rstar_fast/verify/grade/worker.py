"""The worker process that grades answers: as mathematics, or by a function of the user's.

It sets no alarms of its own: when a comparison takes too long, the pool kills this process.
"""

import resource
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rstar_fast.verify.base import Status
from rstar_fast.verify.grade.judge import judge
from rstar_fast.verify.pool.worker import Channel, serve

_MEMORY_BYTES = 4 << 30
"""Address space of a worker that compares mathematics, bytes."""


def _start(options: dict[str, Any], channel: Channel) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return _function_grader(options["function"]) if "function" in options else _math_grader()


def _math_grader() -> Callable[[dict[str, Any]], dict[str, Any]]:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))

    def grade(request: dict[str, Any]) -> dict[str, Any]:
        golds, answer = request["golds"], request["answer"]
        try:
            verdict, layer = judge(golds, answer, request["question"])
        except (MemoryError, RecursionError, ArithmeticError, ValueError):
            return {"correct": False, "status": Status.ERROR}
        return {
            "correct": verdict is True,
            "status": Status.OK,
            "unsure": verdict is None,
            "layer": layer,
        }

    # The first comparison is slow, and its time should not count as an answer's.
    grade({"golds": [r"\frac{1}{2}", "x=5"], "answer": r"\sqrt{2}", "question": ""})
    return grade


def _function_grader(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    module, _, attribute = name.partition(":")
    function = getattr(import_module(module), attribute)

    def grade(request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {
                "correct": bool(function(request["problem"], request["answer"])),
                "status": Status.OK,
            }
        except Exception:
            return {"correct": False, "status": Status.ERROR}

    return grade


def main(parent_pid: int) -> None:
    """Serve a verifier until the main process ends.

    Args:
        parent_pid: Process id of the main process.
    """
    serve(parent_pid, _start)
