"""Sources of problems: registered kinds, and everything else."""

import sys
from collections.abc import Iterator
from concurrent.futures import Future
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from rstar_fast.embedded import source as graded_source
from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem, read_problems, read_sources, sources
from rstar_fast.problems.sources import GROUP, Source, kind_of, registered_source
from rstar_fast.verify import Grade
from rstar_fast.verify.grade import gym
from rstar_fast.verify.grade.by_source import SourceVerifier


@pytest.fixture(autouse=True)
def fresh_registry() -> Iterator[None]:
    registered_source.cache_clear()
    yield
    registered_source.cache_clear()


class Reversing:
    """A verifier for which an answer is right if it is the question backwards."""

    def __init__(self, workers: int, limit_s: float) -> None:
        self.options = workers, limit_s
        self.closed = False

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        future: Future[Grade] = Future()
        future.set_result(Grade(answer == problem.question[::-1]))
        return future

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> list[Reversing]:
    """Register the kind `words`. Returns the verifiers that are made for it."""
    made: list[Reversing] = []

    def read(name: str, limit: int | None) -> list[Problem]:
        words = name.removeprefix("words:").split("+")[:limit]
        return [Problem(f"words:{word}", word) for word in words]

    def verifier(workers: int, limit_s: float) -> Reversing:
        made.append(Reversing(workers, limit_s))
        return made[-1]

    module = ModuleType("a_third_party")
    module.__dict__.update(words=Source(read, verifier), not_a_source=read)
    monkeypatch.setitem(sys.modules, "a_third_party", module)
    entries = {
        name: [EntryPoint(name, f"a_third_party:{name}", GROUP)]
        for name in ("words", "not_a_source")
    }

    def entry_points(group: str, name: str) -> list[EntryPoint]:
        assert group == GROUP
        return entries.get(name, [])

    monkeypatch.setattr(sources, "entry_points", entry_points)
    return made


def test_the_kinds_of_this_package_are_entry_points() -> None:
    assert registered_source("graded") is graded_source.SOURCE
    assert registered_source("reasoning_gym") is gym.SOURCE
    assert registered_source("no_such_kind") is None


def test_a_kind_ends_at_the_first_colon() -> None:
    assert [kind_of(name) for name in ("a:b:c", "set.jsonl", ":a", "")] == ["a", "", "", ""]


def test_registered_kinds_are_read() -> None:
    problems = read_problems("graded:train:1", limit=3)
    assert len(problems) == 3 and all(problem.answers for problem in problems)
    with pytest.raises(ProblemError, match="expected graded:SPLIT:PER_LEVEL"):
        read_problems("graded:everything:1")
    with pytest.raises(ProblemError, match="expected reasoning_gym:DATASET:SIZE"):
        read_problems("reasoning_gym:chain_sum")


def test_an_unknown_kind_is_a_file_or_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unknown:kind.jsonl").write_text('{"question": "q", "answer": "1"}')
    monkeypatch.chdir(tmp_path)
    assert read_problems("unknown:kind.jsonl") == [Problem("unknown:kind-0", "q", ("1",))]

    def load_dataset(name: str, config: str | None) -> object:
        raise FileNotFoundError(f"there is no data set {name}")

    hub = SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    with pytest.raises(
        ProblemError,
        match="unknown:train: no such file, and no data set that can be loaded: "
        "FileNotFoundError: there is no data set unknown",
    ):
        read_problems("unknown:train")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ProblemError, match="unknown:train: no such file; to read it as"):
        read_problems("unknown:train")


def test_a_third_party_can_register_a_kind(third_party: list[Reversing]) -> None:
    problems = read_problems("words:straw+live+noon")
    assert [problem.id for problem in problems] == ["words:straw", "words:live", "words:noon"]
    assert read_problems("words:straw+live+noon", limit=1) == problems[:1]
    assert read_sources(["words:a+b", "words:c"]) == read_problems("words:a+b+c")
    with SourceVerifier(workers=2, limit_s=7.0) as verifier:
        grades = [verifier.submit(problem, "warts").result() for problem in problems]
        mathematics = verifier.submit(Problem("other:1", "What is 6 * 7?", "42"), "42").result()
    assert grades == [Grade(True), Grade(False), Grade(False)]
    assert mathematics.correct
    (own,) = third_party
    assert own.options == (2, 7.0) and own.closed


@pytest.mark.usefixtures("third_party")
def test_an_entry_point_that_is_not_a_source_is_refused() -> None:
    with pytest.raises(
        ProblemError,
        match=f"entry point not_a_source = 'a_third_party:not_a_source' of {GROUP}: "
        "expected a Source, got function",
    ):
        read_problems("not_a_source:1")
