"""What engines told the trees under way, kept on disk so that a killed search goes on in its trees.

A search is deterministic: it need not keep a tree, only the answers that made it. A journal has one
record for each flush, with the answers that came since the flush before:

    told       list of [kind, place, values ...], see `plain_answer`. The place is the node, or
               [node, number of candidates drawn there before] where that is not 0
    timings    seconds by kind of work so far, as in `Tree.timings`

A tree of the next process is given these answers before any engine is asked.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from rstar_fast.errors import StoreError, described
from rstar_fast.policy.base import ExpandRequest
from rstar_fast.ppm.base import ScoreRequest
from rstar_fast.problems import Problem
from rstar_fast.search.answers import Answer
from rstar_fast.search.live import LiveTree
from rstar_fast.search.plain_answers import answer_of_plain, plain_answer
from rstar_fast.search.work import KIND_OF, Request
from rstar_fast.store.checkpoints import FOLDER, Checkpoints
from rstar_fast.store.fields import Kind, check_fields

FLUSH_S = 0.8
"""Seconds after which an answer is written. Less than what is promised, as threads may be late."""
MAX_UNWRITTEN = 20_000
"""Number of answers that are written at once, whatever their age."""

RequestKey = tuple[str, int, int]
"""Kind and node of a request, and the number of candidates that were drawn at the node before.

No other request of its tree has the same.
"""


@dataclass(slots=True)
class Known:
    """What was told to a tree before.

    Attributes:
        answers: Answers by the key of their request.
        timings: Seconds by kind of work, `total` among them.
    """

    answers: dict[RequestKey, Answer] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)


class Recording:
    """Keeps what engines tell the trees of one search.

    The thread of the trees uses it, and any thread may call `end`.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        """Keep answers in a run folder, which stays open as long as the search."""
        self._checkpoints = checkpoints
        self._lock = threading.Lock()
        self._unwritten: list[tuple[LiveTree, Request, Answer]] = []
        self._oldest = 0.0
        # Problems that ended since the last flush.
        self._ended: set[str] = set()

    def begin(self, problem: Problem) -> Known:
        """Return what a tree that begins was told before.

        Raises:
            StoreError: A journal in the problem's place cannot be read or deleted.
        """
        known = Known()
        with self._lock:
            try:
                for record in self._checkpoints.load(problem):
                    known.timings = record["timings"]
                    check_fields(known.timings, dict.fromkeys(known.timings, Kind.of(float)))
                    for kind, place, *values in record["told"]:
                        node, first = place if isinstance(place, list) else (place, 0)
                        known.answers[kind, node, first] = answer_of_plain(kind, values)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._checkpoints.discard(
                    problem.key, f"a journal of another version: {described(error)}"
                )
                return Known()
        return known

    def note(self, tree: LiveTree, request: Request, answer: Answer) -> None:
        """Take in one answer, which is written at the next flush."""
        if not self._unwritten:
            self._oldest = time.monotonic()
        self._unwritten.append((tree, request, answer))

    def wait_s(self) -> float | None:
        """Return the seconds until a flush is due, 0 if it is. None if nothing is unwritten."""
        if not self._unwritten:
            return None
        if len(self._unwritten) >= MAX_UNWRITTEN:
            return 0.0
        return max(0.0, self._oldest + FLUSH_S - time.monotonic())

    def flush(self) -> None:
        """Write all answers that are not written yet.

        Raises:
            StoreError: The disk refuses, or the run folder was deleted, moved or unlocked.
        """
        with self._lock:
            # A tree that has ended was noted before that, and is never noted again.
            unwritten, self._unwritten = self._unwritten, []
            ended, self._ended = self._ended, set()
            self._checkpoints.check()
            told: dict[str, tuple[LiveTree, list[list[Any]]]] = {}
            for tree, request, answer in unwritten:
                key = tree.problem.key
                if key in ended:
                    continue
                if key not in told:
                    told[key] = (tree, [])
                kind, node, first = _key(request)
                told[key][1].append([kind, [node, first] if first else node, *plain_answer(answer)])
            for tree, rows in told.values():
                record = {"told": rows, "timings": tree.timings_so_far()}
                self._checkpoints.append(tree.problem, record)

    def end(self, key: str) -> None:
        """Forget a problem whose tree or failure is on disk, and free the room of its answers."""
        with self._lock:
            self._ended.add(key)
            self._checkpoints.remove(key)


def known_answers(known: dict[RequestKey, Answer], requests: list[Request]) -> list[Answer | None]:
    """Take the answers to some requests out of what is known. None where there is no answer.

    Raises:
        StoreError: An answer does not fit its request.
    """
    if not known:
        return [None] * len(requests)
    return [_fitting(one, known.pop(_key(one), None)) for one in requests]


def _key(request: Request) -> RequestKey:
    first = request.first_candidate if isinstance(request, ExpandRequest | ScoreRequest) else 0
    return KIND_OF[type(request)], request.node, first


def _fitting(request: Request, answer: Answer | None) -> Answer | None:
    if not isinstance(answer, list):
        return answer
    if isinstance(request, ExpandRequest):
        fits = 1 <= len(answer) <= request.num_candidates
    else:
        fits = isinstance(request, ScoreRequest) and len(answer) == len(request.children)
    if not fits:
        raise StoreError(f"{FOLDER}: what is told of node {request.node} does not fit its tree")
    return answer
