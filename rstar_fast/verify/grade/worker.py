"""The worker process that grades answers: by math-verify, or by a function of the user's.

It sets no alarms of its own: when a comparison takes too long, the pool kills this process.
"""

import logging
import resource
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from rstar_fast.verify.base import Status
from rstar_fast.verify.grade.answers import readings
from rstar_fast.verify.pool.worker import Channel, serve

_MEMORY_BYTES = 4 << 30
"""Address space of a math-verify worker, bytes."""


def _start(options: dict[str, Any], channel: Channel) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return _function_grader(options["function"]) if "function" in options else _math_grader()


def _math_grader() -> Callable[[dict[str, Any]], dict[str, Any]]:
    from math_verify import parse, verify

    # `parse` and `verify` warn that their own alarms are off.
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))

    def parsed(answer: str) -> list[Any]:
        return [
            expression
            for reading in readings(answer)
            for expression in parse(
                rf"\boxed{{{reading}}}", parsing_timeout=None, raise_on_error=True
            )
        ]

    parsed_gold = lru_cache(maxsize=4096)(parsed)

    def grade(request: dict[str, Any]) -> dict[str, Any]:
        status = Status.OK
        try:
            target = parsed(request["answer"])
        except Exception:
            return {"correct": False, "status": Status.ERROR}
        for gold in request["golds"]:
            try:
                if verify(
                    parsed_gold(gold),
                    target,
                    allow_set_relation_comp=True,
                    timeout_seconds=None,
                    raise_on_error=True,
                ):
                    return {"correct": True, "status": Status.OK}
            except Exception:
                status = Status.ERROR
        return {"correct": False, "status": status}

    # The first comparison is slow, and its time should not count as an answer's.
    grade({"golds": [r"\frac{1}{2}", "x=5"], "answer": r"\sqrt{2}"})
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
