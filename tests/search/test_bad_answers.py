"""One bad answer of an engine fails its own problem, and the run goes on."""

import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scripted_engines import Policy, Runner, Scorer, Verifier, problems, searcher

from rstar_fast.failure import Failure
from rstar_fast.policy.base import Candidate, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status

VICTIM = "p1"
TRUTH = {"annotate_terminals_with_ground_truth": True}
HUGE = 10**5000


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Strange:
    """Anything that is done with it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("__array__")

    def __str__(self) -> str:
        raise RuntimeError("__str__")

    __repr__ = __str__


def raises(_: Any) -> Any:
    raise Unprintable


def exits(_: Any) -> Any:
    raise SystemExit(3)


def candidate(**fields: Any) -> Callable[[Any], Expansion]:
    given = {"text": "x<end_of_step>", "token_ids": (), "logprobs": (), **fields}
    return lambda request: Expansion(request.id, (Candidate(**given),))


def expansion(candidates: Any = (), error: Any = None) -> Callable[[Any], Expansion]:
    return lambda request: Expansion(request.id, candidates, error)


EXPANSIONS: dict[str, Callable[[Any], Any]] = {
    "raises": raises,
    "none": lambda request: None,
    "another kind": lambda request: Grade(True),
    "another id": lambda request: Expansion(request.id + 1000, (Candidate("x"),)),
    "no id": lambda request: Expansion(None, (Candidate("x"),)),  # type: ignore[arg-type]
    "no candidates": expansion(None),
    "a text of candidates": expansion("abc"),
    "too many": expansion((Candidate("x"),) * 99),
    "an error of no text": expansion(error=Strange()),
    "no candidate": expansion((None,)),
    "a text for a candidate": expansion(("x",)),
    "a lookalike": expansion((SimpleNamespace(text="x"),)),
    "text none": candidate(text=None),
    "text bytes": candidate(text=b"x"),
    "text strange": candidate(text=Strange()),
    "ids none": candidate(token_ids=None),
    "ids a number": candidate(token_ids=5),
    "ids floats": candidate(token_ids=(1.5,)),
    "ids texts": candidate(token_ids=("a",)),
    "ids huge": candidate(token_ids=(HUGE,)),
    "logprobs none": candidate(token_ids=(1,), logprobs=None),
    "logprobs texts": candidate(token_ids=(1,), logprobs=("-0.5",)),
    "logprobs nan": candidate(token_ids=(1,), logprobs=(float("nan"),)),
    "logprobs infinite": candidate(token_ids=(1,), logprobs=(float("-inf"),)),
    "logprobs -1e300": candidate(token_ids=(1,), logprobs=(-1e300,)),
    "logprobs huge": candidate(token_ids=(1,), logprobs=(-HUGE,)),
    "logprobs of other tokens": candidate(token_ids=(1, 2), logprobs=(-0.5,)),
    "finish": candidate(finish="done"),
    "finish list": candidate(finish=[]),
    "exact": candidate(exact=None),
}
VALUES: dict[str, Any] = {
    "none": None,
    "a scalar": 0.5,
    "2-d": np.zeros((2, 2)),
    "too few": np.zeros(0),
    "text": "0.5",
    "texts": ["0.5"] * 4,
    "objects": [None] * 4,
    "strange": Strange(),
    "booleans": [True] * 4,
    "ragged": [[1.0], [1.0, 2.0]],
    "7.0": np.full(4, 7.0),
    "just outside": np.full(4, -1.0000001),
    "nan": np.full(4, np.nan),
    "infinite": np.full(4, np.inf),
    "huge": [HUGE] * 4,
}
SCORES: dict[str, Callable[[Any], Any]] = {
    "raises": raises,
    "none": lambda request: None,
    "an array": lambda request: np.zeros(len(request.children)),
    "another id": lambda request: Scores(request.id + 1000, np.zeros(len(request.children))),
    "an error of no text": lambda request: Scores(
        request.id,
        np.zeros(0),
        error=Strange(),  # type: ignore[arg-type]
    ),
    **{
        f"values {name}": lambda request, values=value: Scores(  # type: ignore[misc]
            request.id, values[: len(request.children)] if isinstance(values, list) else values
        )
        for name, value in VALUES.items()
    },
}
OBSERVATIONS: dict[str, Callable[[Any], Any]] = {
    "raises": raises,
    "exits": exits,
    "none": lambda _: None,
    "another kind": lambda _: Grade(True),
    "text none": lambda _: Observation(Status.OK, None),  # type: ignore[arg-type]
    "text strange": lambda _: Observation(Status.OK, Strange()),  # type: ignore[arg-type]
    "status text": lambda _: Observation("ok", "x"),  # type: ignore[arg-type]
    "time text": lambda _: Observation(Status.OK, "x", "1"),  # type: ignore[arg-type]
    "time nan": lambda _: Observation(Status.OK, "x", float("nan")),
    "time huge": lambda _: Observation(Status.OK, "x", HUGE),
}
GRADES: dict[str, Callable[[Any], Any]] = {
    "raises": raises,
    "exits": exits,
    "none": lambda _: None,
    "a boolean": lambda _: True,
    "correct none": lambda _: Grade(None),  # type: ignore[arg-type]
    "correct text": lambda _: Grade("yes"),  # type: ignore[arg-type]
    "status text": lambda _: Grade(True, "ok"),  # type: ignore[arg-type]
}


def future_of(answer: Callable[[Any], Any]) -> "Future[Any]":
    future: Future[Any] = Future()
    try:
        future.set_result(answer(None))
    except BaseException as error:
        future.set_exception(error)
    return future


@pytest.fixture(scope="module")
def calm() -> dict[str, Any]:
    return trees_of(list(searcher(**TRUTH).search(problems(4))))


def trees_of(ended: list[Tree | Failure]) -> dict[str, Any]:
    return {one.problem.id: one.nodes for one in ended if isinstance(one, Tree)}


def check(folder: Path, calm: dict[str, Any], **engines: Any) -> None:
    """All problems but the victim get the trees that they get with good engines."""
    with RunFolder.open(folder, {}) as run, searcher(**engines, **TRUTH) as one:
        ended = list(search_to_folder(one, problems(4), run))
    assert {key: nodes for key, nodes in calm.items() if key != VICTIM} == trees_of(ended)
    (failure,) = RunFolder.read(folder).failures()
    assert failure.problem.id == VICTIM and failure.reason
    assert len(failure.reason) < 1000


@pytest.mark.parametrize("kind", EXPANSIONS)
def test_expansions(kind: str, tmp_path: Path, calm: dict[str, Any]) -> None:
    class Bad(Policy):
        def add(self, requests: Any) -> None:
            self.given = {**getattr(self, "given", {}), **{one.id: one for one in requests}}
            super().add(requests)

        def step(self) -> list[Expansion]:
            return [
                EXPANSIONS[kind](self.given[one.request_id])
                if self.given[one.request_id].problem_id == VICTIM
                else one
                for one in super().step()
            ]

    check(tmp_path, calm, policy=Bad())


@pytest.mark.parametrize("kind", SCORES)
def test_scores(kind: str, tmp_path: Path, calm: dict[str, Any]) -> None:
    class Bad(Scorer):
        def score(self, requests: Any) -> list[Scores]:
            return [
                SCORES[kind](request) if request.problem_id == VICTIM else one
                for request, one in zip(requests, super().score(requests), strict=True)
            ]

    check(tmp_path, calm, scorer=Bad())


@pytest.mark.parametrize("answer", [None, 5, "abc", {}])
def test_a_scorer_that_returns_no_list(answer: Any, tmp_path: Path, calm: dict[str, Any]) -> None:
    class Bad(Scorer):
        def score(self, requests: Any) -> Any:
            if any(request.problem_id == VICTIM for request in requests):
                return answer
            return super().score(requests)

    check(tmp_path, calm, scorer=Bad())


@pytest.mark.parametrize("kind", OBSERVATIONS)
def test_observations(kind: str, tmp_path: Path, calm: dict[str, Any]) -> None:
    # A runner does not know the problem: the victim is known by a text that only it has.
    class Marked(Policy):
        def _write(self, request: Any, sample: int) -> Candidate:
            if request.problem_id == VICTIM:
                return Candidate(f"\nvictim = {sample}<end_of_step>")
            return super()._write(request, sample)

    class Bad(Runner):
        def submit(self, steps: tuple[str, ...]) -> "Future[Any]":
            if "victim" in steps[-1]:
                return future_of(OBSERVATIONS[kind])
            return super().submit(steps)

    check(tmp_path, calm, policy=Marked(), runner=Bad())


@pytest.mark.parametrize("kind", [*GRADES, "no future"])
def test_grades(kind: str, tmp_path: Path, calm: dict[str, Any]) -> None:
    class Bad(Verifier):
        def submit(self, problem: Problem, answer: str) -> Any:
            if problem.id != VICTIM:
                return super().submit(problem, answer)
            return None if kind == "no future" else future_of(GRADES[kind])

    check(tmp_path, calm, verifier=Bad())


def test_an_exception_without_a_text_is_described() -> None:
    failure = Failure.of(problems(1)[0], Unprintable())
    assert "Unprintable.__str__ raises" in failure.reason
    try:
        raise Unprintable
    except Unprintable as error:
        failure = Failure.of(problems(1)[0], error)
    assert "raise Unprintable" in failure.traceback


def test_scores_at_the_ends_of_the_range_are_taken() -> None:
    class Ends(Scorer):
        def score(self, requests: Any) -> list[Scores]:
            return [
                Scores(one.id, np.array([(-1) ** i for i in range(len(one.children))]))
                for one in requests
            ]

    assert all(isinstance(one, Tree) for one in searcher(scorer=Ends()).search(problems(2)))


def test_huge_integers_can_be_made() -> None:
    # Else the cases above would not be what they say.
    assert sys.get_int_max_str_digits() < 5000
