"""A small made-up engine, and what drives an ask/tell search with it."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from rstar_fast.config import SearchConfig
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.seeding import stream
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status


class Engine:
    """Answers every request by a rule that depends on nothing but the request and the seed."""

    def expand(self, request: ExpandRequest) -> Expansion:
        candidates = []
        for sample in range(request.num_candidates):
            draw = stream(request.draw_key(sample)).integers(1000)
            depth = len(request.path)
            if depth >= 2 and draw % 2:
                text = (
                    f"\n<answer>It is $\\boxed{{{draw % 7}}}$.<end_of_answer>"
                    if draw % 3
                    else f"\n\\boxed{{{draw % 7}}}"
                )
            else:
                text = f"\nx{depth} = {draw % 50}<end_of_step>"
            candidates.append(Candidate(text, token_ids=(1, 2, 3)))
        return Expansion(request.id, tuple(candidates))

    def run(self, request: Any) -> Observation:
        failed = sum(map(ord, request.steps[-1])) % 5 == 0
        return (
            Observation(Status.ERROR, "ValueError: no")
            if failed
            else Observation(Status.OK, "fine")
        )

    def grade(self, request: Any) -> Grade:
        return Grade(request.answer in request.problem.answers)

    def score(self, request: Any) -> Scores:
        return Scores(
            request.id, np.array([np.sin(sum(map(ord, child))) for child in request.children])
        )


def drive(
    search: Search, engine: Any = None, pick: Callable[[list[Any]], Any] = list.pop
) -> list[Tree | Failure]:
    """Answer everything; `pick` takes the next request out of those that are open."""
    engine = engine or Engine()
    requests: list[tuple[str, Any]] = []
    ended: list[Tree | Failure] = []
    while not search.done:
        work = search.ask()
        requests += [
            (kind, request)
            for kind in ("expand", "run", "grade", "score")
            for request in getattr(work, kind)
        ]
        kind, request = pick(requests)
        search.tell(request.id, getattr(engine, kind)(request))
        ended += search.finished()
    return ended + search.finished()


def problems(count: int) -> list[Problem]:
    return [Problem(f"p{i}", f"question {i}", ("3",)) for i in range(count)]


def plain(trees: list[Tree | Failure]) -> dict[str, Any]:
    """What must not depend on the order of arrival."""
    assert all(isinstance(tree, Tree) for tree in trees), trees
    return {tree.problem.id: tree.nodes for tree in trees if isinstance(tree, Tree)}


def searched(count: int = 4, order: random.Random | None = None, **options: Any) -> dict[str, Any]:
    search = Search(
        SearchConfig.from_dict(
            {"candidates": 4, "rollouts": 6, "max_depth": 5, "max_active": 8, **options}
        )
    )
    search.add(problems(count))
    pick = (
        list.pop if order is None else lambda requests: requests.pop(order.randrange(len(requests)))
    )
    return plain(drive(search, pick=pick))
