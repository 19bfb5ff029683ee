"""A search that writes down what its engines answer, and is killed again and again.

python tests/support/killed_search.py RUN LOG PROBLEMS ROLLOUTS SECONDS

SECONDS after it began, an alarm ends the search as abruptly as SIGKILL does. 0 lets it end.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from scripted_engines import Policy, Runner, Scorer, Verifier, searcher

from rstar_fast.policy import Candidate, ExpandRequest
from rstar_fast.policy.base import Expansion
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.problems import Problem
from rstar_fast.search import run
from rstar_fast.search.answers import Answer
from rstar_fast.search.live import LiveTree
from rstar_fast.search.recording import Recording
from rstar_fast.search.work import GradeRequest, Request, RunRequest
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree

STEP_S = 0.004
"""Seconds that the made-up models take for a batch."""


class Log:
    """Lines of a file that all processes append to. Each survives a kill at once."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, what: str, name: str = "", moment: float | None = None) -> None:
        moment = time.monotonic() if moment is None else moment
        os.write(self._fd, f"{what}\t{moment:.6f}\t{name}\n".encode())


def name_of(request: Request) -> str:
    """Return a name that no other request of the run has."""
    if isinstance(request, RunRequest):
        return "run " + hashlib.sha256(repr(request.steps).encode()).hexdigest()[:16]
    if isinstance(request, GradeRequest):
        return f"grade {request.problem.key} {request.answer}"
    return f"{type(request).__name__} {request.problem_id} {request.node}"


class LoggedPolicy(Policy):
    def __init__(self, log: Log) -> None:
        super().__init__(batch=8)
        self._log = log

    def step(self) -> list[Expansion]:
        for request in self._queue[: self._batch]:
            self._log("asked", name_of(request))
        time.sleep(STEP_S)
        return super().step()

    def _write(self, request: ExpandRequest, sample: int) -> Candidate:
        # The problem's name makes every program the only one of its kind.
        written = super()._write(request, sample)
        if "boxed" in written.text:
            return written
        return Candidate(
            f"\n# {request.problem_id} {request.node} {sample}{written.text}",
            tuple(range(40)),
            tuple(-0.01 * i for i in range(40)),
        )


class LoggedScorer(Scorer):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        for request in requests:
            self._log("asked", name_of(request))
        time.sleep(STEP_S / 2)
        return super().score(requests)


class LoggedRunner(Runner):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def submit(self, steps: tuple[str, ...]) -> "Future[Any]":
        self._log("asked", name_of(RunRequest(0, "", 0, steps)))
        return super().submit(steps)


class LoggedVerifier(Verifier):
    def __init__(self, log: Log) -> None:
        self._log = log

    def submit(self, problem: Problem, answer: str) -> "Future[Any]":
        self._log("asked", name_of(GradeRequest(0, problem, 0, answer)))
        return super().submit(problem, answer)


def logged_recording(log: Log) -> type[Recording]:
    class Logged(Recording):
        def note(self, tree: LiveTree, request: Request, answer: Answer) -> None:
            super().note(tree, request, answer)
            log("told", name_of(request))

        def flush(self) -> None:
            started = time.monotonic()
            super().flush()
            log("flushed", moment=started)

    return Logged


def search(folder: Path, log: Log, num_problems: int, rollouts: int, alarm_s: float) -> None:
    """Search the problems that are not done yet."""
    run.Recording = logged_recording(log)  # type: ignore[misc]
    problems = [Problem(f"p{i}", f"question {i}", ("3",)) for i in range(num_problems)]
    one = searcher(
        LoggedPolicy(log),
        LoggedScorer(log),
        LoggedRunner(log),
        LoggedVerifier(log),
        rollouts=rollouts,
        max_depth=12,
        max_active=4,
        leaves_per_tree=2,
        annotate_terminals_with_ground_truth=True,
    )
    log("began")
    signal.setitimer(signal.ITIMER_REAL, alarm_s)
    with RunFolder.open(folder, {"rollouts": rollouts}) as opened:
        for _ in run.search_to_folder(one, problems, opened):
            pass


def search_once(folder: Path, log: Path, num_problems: int, rollouts: int) -> None:
    """Do the search undisturbed."""
    subprocess.run(command(folder, log, num_problems, rollouts, 0.0), check=True)


def kill_until_done(
    folder: Path,
    log: Path,
    num_problems: int,
    rollouts: int,
    kills: int,
    seed: int,
    longest_s: float = 2.5,
) -> int:
    """Start the search, have it killed at a random moment, and so on, then let it end.

    Returns:
        Number of kills. The search may end before all of them.
    """
    draw = random.Random(seed)
    for kill in range(kills + 1):
        alarm_s = draw.uniform(1e-3, longest_s) if kill < kills else 0.0
        done = subprocess.run(
            command(folder, log, num_problems, rollouts, alarm_s), capture_output=True, text=True
        )
        if done.returncode != -signal.SIGALRM:
            assert done.returncode == 0, done.stderr
            return kill
    return kills


def command(folder: Path, log: Path, num_problems: int, rollouts: int, alarm_s: float) -> list[str]:
    sizes = map(str, (num_problems, rollouts, alarm_s))
    return [sys.executable, __file__, str(folder), str(log), *sizes]


def asked_again(log: Path) -> tuple[int, int, float]:
    """Look for answers that were told before a flush of their process, and asked for later.

    Returns:
        Number of such answers, number of all requests that were asked more than once, and the age
        of the oldest answer that was not flushed when its process was killed, seconds.
    """
    flushed: set[str] = set()
    asked: set[str] = set()
    # Answers of one process that are not flushed.
    told: dict[str, float] = {}
    wrong = again = 0
    oldest = last = 0.0
    for line in log.read_text().split("\n")[:-1]:
        what, moment, name = line.split("\t")
        if what == "began":
            oldest = max([oldest, *(last - when for when in told.values())])
            told.clear()
        elif what == "told":
            told[name] = float(moment)
        elif what == "flushed":
            written = {one for one, when in told.items() if when < float(moment)}
            flushed |= written
            for one in written:
                del told[one]
            continue
        elif what == "asked":
            wrong += name in flushed
            again += name in asked
            asked.add(name)
        last = float(moment)
    return wrong, again, oldest


def trees(folder: Path) -> dict[str, Any]:
    return {tree.problem.key: plain(tree) for tree in RunFolder.read(folder).trees()}


def plain(tree: Tree) -> tuple[Any, ...]:
    """What must be the same however often the search was killed."""
    return tree.nodes, tree.counts, tree.seed


if __name__ == "__main__":
    run_path, log_path, *numbers = sys.argv[1:]
    search(Path(run_path), Log(Path(log_path)), int(numbers[0]), int(numbers[1]), float(numbers[2]))
