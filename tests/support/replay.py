"""A driver of the ask/tell search that answers from the record of a finished tree."""

import random
from typing import Any

import numpy as np

from rstar_fast.config import SearchConfig
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Candidate, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status


class Replay:
    """Answers from recorded nodes. Each tag has a step, its observation and its score."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.nodes = record["nodes"]
        self.truth = record["ground_truth"]
        self.tags = ["0"]
        self.children: dict[str, list[str]] = {}
        for tag in self.nodes:
            if tag != "0":
                self.children.setdefault(tag.rpartition(".")[0], []).append(tag)

    def answer(self, kind: str, request: Any) -> Any:
        if kind == "expand":
            tags = self.children[self.tags[request.node]]
            self.tags += tags
            return Expansion(request.id, tuple(Candidate(self.nodes[tag]["step"]) for tag in tags))
        if kind == "run":
            text = self.nodes[self.tags[request.node]]["observation"]
            return Observation(Status.ERROR if "Error" in text else Status.OK, text)
        if kind == "grade":
            return Grade(request.answer == self.truth)
        texts = {
            self.nodes[tag]["step"]: self.nodes[tag]
            for tag in self.children[self.tags[request.node]]
        }
        by_step = [
            next(node for step, node in texts.items() if child.startswith(step))
            for child in request.children
        ]
        return Scores(request.id, np.array([node["score"] for node in by_step]))


def search_record(
    record: dict[str, Any], order: random.Random | None = None
) -> tuple[Tree | Failure, Replay]:
    """Search one recorded tree again. `order` shuffles the order of the answers."""
    search = Search(SearchConfig.from_dict({**record["config"], "max_active": 1}))
    search.add([Problem("recorded", "question", (record["ground_truth"],))])
    replay = Replay(record)
    open_requests: list[tuple[str, Any]] = []
    while not search.done:
        work = search.ask()
        open_requests += [
            (kind, request)
            for kind in ("expand", "run", "grade", "score")
            for request in getattr(work, kind)
        ]
        if order is not None:
            order.shuffle(open_requests)
        kind, request = open_requests.pop()
        search.tell(request.id, replay.answer(kind, request))
    (ended,) = search.finished()
    return ended, replay
