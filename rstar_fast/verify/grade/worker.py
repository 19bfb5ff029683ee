"""The worker process that grades answers: as mathematics, or by a function of the user's.

Mathematics is compared in confined clones. Nothing sets an alarm of its own: what takes too long is
killed from outside.
"""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from rstar_fast.verify.base import Status
from rstar_fast.verify.grade.clones import Preparation, Work, in_clones
from rstar_fast.verify.grade.judge import judge
from rstar_fast.verify.grade.library import equal_by_library
from rstar_fast.verify.grade.read.reader import read
from rstar_fast.verify.grade.read.tokens import ReadError
from rstar_fast.verify.pool.worker import Channel, serve

_WARM_UPS = (
    ("1/2", "0.5"),
    ("x=5", r"\sqrt{2}"),
    (r"\frac{x+1}{2}", r"\sin 2x"),
    ("(1, 2]", "1 < x"),
)
"""Pairs that are compared beforehand, because what runs first is slow."""


def _start(options: dict[str, Any], channel: Channel) -> Work:
    if "function" in options:
        return _function_grader(options["function"])
    return in_clones(_math_grader, options["limit_s"])


def _math_grader() -> tuple[Preparation, Work]:
    for gold, answer in _WARM_UPS:
        judge([gold], answer)
    equal_by_library(r"\sum_{k=1}^{2} k", "3")

    def prepare(request: dict[str, Any]) -> None:
        with suppress(ReadError):
            for gold in request["golds"]:
                read(gold)

    def work(request: dict[str, Any]) -> dict[str, Any]:
        try:
            # The main process has asked what the spelling settles.
            verdict, layer = judge(request["golds"], request["answer"], request["question"])
        except (MemoryError, RecursionError, ArithmeticError, ValueError):
            return {"correct": False, "status": Status.ERROR}
        return {
            "correct": verdict is True,
            "status": Status.OK,
            "unsure": verdict is None,
            "layer": layer,
        }

    return prepare, work


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
