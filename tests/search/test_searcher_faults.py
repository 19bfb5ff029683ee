"""Engines that fail: what it costs, and what the run folder says of it."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_engines import Policy, Runner, Scorer, Verifier, problems, searcher

from rstar_fast.errors import ExecutorError, PolicyError, ScoreError
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search.faults import BROKEN_AFTER
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree

TRUTH = {"annotate_terminals_with_ground_truth": True}


class Bad:
    """Raises where a batch holds a request of one of these problems."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids
        self.calls = 0

    def __call__(self, requests: Sequence[Any]) -> None:
        self.calls += 1
        found = [request.problem_id for request in requests if request.problem_id in self._ids]
        if found:
            raise ValueError(f"I don't like {found[0]}")


class Flaky:
    """Raises at every n-th call."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._calls = 0

    def __call__(self, requests: Sequence[Any]) -> None:
        self._calls += 1
        if self._calls % self._every == 0:
            raise ConnectionError("try again")


class BadRunner(Runner):
    """Gives futures that fail, for some programs."""

    def __init__(self, fails: Any) -> None:
        super().__init__()
        self._fails = fails

    def submit(self, steps: tuple[str, ...]) -> "Future[Any]":
        if not self._fails(steps):
            return super().submit(steps)
        future: Future[Any] = Future()
        future.set_exception(ExecutorError("no worker"))
        return future


def test_a_hundred_problems_with_faults_among_them(tmp_path: Path) -> None:
    bad_policy, bad_scorer, unanswered = {"p7", "p8", "p50"}, {"p20", "p21", "p77"}, {"p3", "p99"}

    class Refuses(Policy):
        def step(self) -> list[Expansion]:
            done = super().step()
            return [
                Expansion(one.request_id, error="too long")
                if self.problem[one.request_id] == "p60"
                else one
                for one in done
            ]

        def add(self, requests: Any) -> None:
            self.problem = {
                **getattr(self, "problem", {}),
                **{request.id: request.problem_id for request in requests},
            }
            super().add(requests)

    class Nan(Scorer):
        def score(self, requests: Any) -> list[Scores]:
            return [
                Scores(one.request_id, np.full(len(one.values), np.nan))
                if request.problem_id == "p30"
                else one
                for one, request in zip(super().score(requests), requests, strict=True)
            ]

    work = [
        Problem(one.id, one.question, () if one.id in unanswered else one.answers)
        for one in problems(100)
    ]
    one = searcher(Refuses(fault=Bad(*bad_policy)), Nan(Bad(*bad_scorer)), max_active=32, **TRUTH)
    with RunFolder.open(tmp_path / "run", {"test": True}) as folder:
        ended = list(search_to_folder(one, work, folder))
    expected = bad_policy | bad_scorer | unanswered | {"p30", "p60"}
    assert {failure.problem.id for failure in ended if isinstance(failure, Failure)} == expected

    run = RunFolder.read(tmp_path / "run")
    assert run.done == {problem.id for problem in work} - expected
    reasons = {failure.problem.key: failure.summary for failure in run.failures()}
    assert reasons.keys() == expected
    for ids, reason in {
        frozenset(bad_policy): "PolicyError: the policy failed twice: ValueError: I don't like p",
        frozenset(bad_scorer): "ScoreError: the PPM failed twice: ValueError: I don't like p",
        frozenset(unanswered): "has no answer",
        frozenset({"p30"}): "ScoreError: the PPM gave nan",
        frozenset({"p60"}): "PolicyError: the policy failed at node 0: too long",
    }.items():
        assert all(reason in reasons[problem_id] for problem_id in ids)
    (session,) = run.sessions()
    assert (session["ended"], session["trees"], session["failures"]) == ("done", 90, 10)
    assert session["resources"]["policy"]["requests"] > 90
    calm = {
        tree.problem.id: tree.nodes
        for tree in searcher(**TRUTH).search(problems(100))
        if isinstance(tree, Tree)
    }
    assert all(tree.nodes == calm[tree.problem.id] for tree in run_trees(ended))


def run_trees(ended: list[Tree | Failure]) -> list[Tree]:
    return [one for one in ended if isinstance(one, Tree)]


def test_passing_faults_cost_nothing() -> None:
    calm = {
        tree.problem.id: tree.nodes for tree in run_trees(list(searcher().search(problems(10))))
    }
    flaky = searcher(Policy(4, Flaky(9)), Scorer(Flaky(7)))
    assert {
        tree.problem.id: tree.nodes for tree in run_trees(list(flaky.search(problems(10))))
    } == calm
    seen: set[Any] = set()
    once = searcher(runner=BadRunner(lambda steps: steps not in seen and not seen.add(steps)))  # type: ignore[func-returns-value]
    assert {
        tree.problem.id: tree.nodes for tree in run_trees(list(once.search(problems(10))))
    } == calm


def test_a_bad_request_is_found_in_few_calls() -> None:
    fault = Bad("p20")
    one = searcher(Policy(fault=fault), max_active=64, rollouts=1, max_depth=1)
    assert len(run_trees(list(one.search(problems(64))))) == 63
    assert fault.calls < 64


@pytest.mark.parametrize("max_active", [1, 5, 64])
def test_a_broken_engine_ends_the_run(max_active: int, tmp_path: Path) -> None:
    everything = [f"p{i}" for i in range(100)]
    cases: list[tuple[Any, type[Exception], str]] = [
        (
            {"policy": Policy(fault=Bad(*everything))},
            PolicyError,
            "the policy failed on 8 requests in a row",
        ),
        ({"scorer": Scorer(Bad(*everything))}, ScoreError, "the PPM failed on 8 requests in a row"),
        (
            {"runner": BadRunner(lambda steps: True)},
            ExecutorError,
            "the runner failed on 8 requests in a row.*no worker",
        ),
    ]
    for i, (engines, kind, message) in enumerate(cases):
        with RunFolder.open(tmp_path / str(i), {}) as folder:
            with pytest.raises(kind, match=message):
                list(
                    search_to_folder(
                        searcher(**engines, max_active=max_active), problems(100), folder
                    )
                )
            assert len(folder.failures()) < BROKEN_AFTER and not folder.done
            assert folder.sessions()[0]["ended"].startswith(kind.__name__)


def test_a_few_problems_fail_one_by_one() -> None:
    ended = list(searcher(Policy(fault=Bad("p0", "p1", "p2"))).search(problems(3)))
    assert sorted(one.problem.id for one in ended if isinstance(one, Failure)) == ["p0", "p1", "p2"]


def test_a_verifier_that_raises_fails_the_problem() -> None:
    class Refuses(Verifier):
        def submit(self, problem: Problem, answer: str) -> Any:
            if problem.id == "p1":
                raise ExecutorError("closed")
            return super().submit(problem, answer)

    ended = list(searcher(verifier=Refuses()).search(problems(3)))
    (failure,) = (one for one in ended if isinstance(one, Failure))
    assert (
        failure.problem.id == "p1"
        and "the verifier failed twice: ExecutorError: closed" in failure.reason
    )


def test_engines_that_break_their_word() -> None:
    class Forgets(Policy):
        def step(self) -> list[Expansion]:
            return [one for one in super().step() if one.request_id]

    class Invents(Policy):
        def step(self) -> list[Expansion]:
            return [*super().step(), Expansion(12345)]

    class Short(Scorer):
        def score(self, requests: Any) -> list[Scores]:
            return super().score(requests)[1:]

    (failure, *trees) = sorted(
        searcher(Forgets()).search(problems(3)), key=lambda one: isinstance(one, Tree)
    )
    assert (
        isinstance(failure, Failure)
        and "1 requests were not answered" in failure.reason
        and len(run_trees(trees)) == 2
    )
    with pytest.raises(PolicyError, match="request 12345 was answered, which is not open"):
        list(searcher(Invents()).search(problems(20)))
    with pytest.raises(ScoreError, match="were not answered"):
        list(searcher(scorer=Short(), max_active=1).search(problems(20)))


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunFolder.open(tmp_path / "run", {}) as folder:
        monkeypatch.setattr(
            folder, "append", lambda tree: (_ for _ in ()).throw(OSError("no space"))
        )
        with pytest.raises(OSError, match="no space"):
            list(search_to_folder(searcher(), problems(20), folder))
        assert folder.sessions()[0]["ended"] == "OSError: no space"
