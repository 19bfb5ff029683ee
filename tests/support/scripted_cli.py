"""The command line with scripted engines in place of models and worker processes.

python tests/support/scripted_cli.py SECONDS_PER_STEP search ...
"""

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rstar_fast.cli import main
from rstar_fast.errors import PolicyError
from rstar_fast.policy import Candidate, ExpandRequest, FunctionPolicy
from rstar_fast.ppm import ScriptedScorer
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher, engines
from rstar_fast.store import RunFolder
from rstar_fast.verify.base import Grade, Observation, Status


class Runner:
    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        return done(Observation(Status.OK, "7"))

    def close(self) -> None:
        pass


class Verifier:
    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        return done(Grade(answer in problem.answers))

    def close(self) -> None:
        pass


def done(value: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def write(request: ExpandRequest) -> list[Candidate]:
    """Write one step of code, then answers of which the first is right.

    The words "fail" and "broken" in a question do what they say.
    """
    if "broken" in request.question:
        raise PolicyError("the engine broke")
    if "fail" in request.question:
        return []
    if request.path:
        return [
            Candidate(f"\n<answer>\\boxed{{{7 + i}}}", (1, 2), (-0.5, -0.5))
            for i in range(request.num_candidates)
        ]
    return [
        Candidate(f"<code>\nprint(7)  # {i}\n<end_of_code>", (3,), (-1.0,))
        for i in range(request.num_candidates)
    ]


def scripted_open_searcher(seconds_per_step: float) -> Any:
    @contextmanager
    def open_searcher(
        config: Any, policy: str, ppm: str | None = None, **_: Any
    ) -> Iterator[Searcher]:
        if policy == "missing":
            raise PolicyError("policy 'missing': no such folder")

        def answer(requests: list[ExpandRequest]) -> list[list[Candidate]]:
            time.sleep(seconds_per_step)
            return [write(request) for request in requests]

        scorer = (
            ScriptedScorer(lambda question, solution: 0.9 if "{7}" in solution else 0.1)
            if ppm
            else None
        )
        with Searcher(
            FunctionPolicy(answer, batch=1), config, scorer, runner=Runner(), verifier=Verifier()
        ) as searcher:
            yield searcher

    return open_searcher


def write_problems(
    count: int, questions: dict[int, str] | None = None, name: str = "p.jsonl"
) -> None:
    """Write a file of problems with the answer 7. `questions` replaces some by their number."""
    questions = questions or {}
    rows = [
        {"question": questions.get(i, f"What is 7? ({i})"), "answer": "7"} for i in range(count)
    ]
    Path(name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def search(*more: str) -> list[str]:
    """Return the words of a search of p.jsonl into the folder run."""
    settings = ["--set", "rollouts=2", "candidates=2", "max_active=2"]
    return [
        "search",
        "--problems",
        "p.jsonl",
        "--policy",
        "scripted",
        "--ppm",
        "scripted",
        "--preset",
        "fast",
        "--out",
        "run",
        *settings,
        *more,
    ]


def ids(folder: str = "run") -> list[str]:
    """Return the ids of the finished trees, in their order in the file."""
    return [tree.problem.id for tree in RunFolder.read(folder).trees()]


if __name__ == "__main__":
    engines.open_searcher = scripted_open_searcher(float(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
