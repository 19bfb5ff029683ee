"""Searches that are stopped in the middle of their trees, and go on where they were."""

import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from damage import broken, with_odd_value
from killed_search import asked_again, kill_until_done, search_once, trees
from scripted_engines import Policy, Scorer, problems, searcher

from rstar_fast.errors import StoreError
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Expansion
from rstar_fast.search.answers import WrittenStep
from rstar_fast.search.plain_answers import answer_of_plain, plain_answer
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Layer, Observation, Status

STRATEGIES = {
    "mcts": {"rollouts": 30},
    "leaves": {"rollouts": 30, "leaves_per_tree": 3},
    "truth": {"rollouts": 30, "annotate_terminals_with_ground_truth": True},
    "widening": {"rollouts": 30, "widening": 1.5, "candidates": 9, "distinct_programs": True},
    "widening leaves": {"rollouts": 30, "widening": 2.0, "leaves_per_tree": 3},
    "widening alone": {"rollouts": 30, "widening": 2.0, "use_scores": False},
    "beam": {"strategy": "beam", "beam_width": 3},
    "greedy": {"strategy": "greedy", "candidates": 2},
    "best_of_n": {"strategy": "best_of_n", "candidates": 6},
}


class Stopping(Policy):
    """Stops the whole search at a number of requests, as Ctrl-C would."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        super().__init__(batch=2)
        self.asked: list[tuple[str, int, int]] = []
        self._stop_after = stop_after

    def step(self) -> list[Expansion]:
        self.asked += [
            (one.problem_id, one.node, one.first_candidate) for one in self._queue[: self._batch]
        ]
        if len(self.asked) >= self._stop_after:
            raise SystemExit("stopped")
        return super().step()


class Counting(Scorer):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int, int]] = []

    def score(self, requests: Any) -> Any:
        self.asked += [(one.problem_id, one.node, one.first_candidate) for one in requests]
        return super().score(requests)


def search(
    folder: Path, policy: Policy, scorer: Scorer | None = None, count: int = 3, **options: Any
) -> list[Tree | Failure]:
    options = {"max_depth": 7, **options}
    with RunFolder.open(folder, {}) as run, searcher(policy, scorer, **options) as one:
        return list(search_to_folder(one, problems(count), run))


def stopped(folder: Path, stop_after: int, **options: Any) -> Stopping:
    policy = Stopping(stop_after)
    with pytest.raises(SystemExit):
        search(folder, policy, **options)
    return policy


def contents(folder: Path) -> dict[str, Any]:
    return {tree.problem.id: (tree.nodes, tree.counts) for tree in RunFolder.read(folder).trees()}


def journals(folder: Path) -> list[Path]:
    return sorted((folder / "under_way").glob("*"))


@contextmanager
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    search(folder, Stopping(), **STRATEGIES["mcts"])
    return contents(folder)


@pytest.mark.parametrize("kind", STRATEGIES)
def test_nothing_is_asked_twice_and_the_trees_are_the_same(kind: str, tmp_path: Path) -> None:
    options = STRATEGIES[kind]
    whole = Stopping()
    search(tmp_path / "whole", whole, **options)
    scorers = [Counting(), Counting(), Counting()]
    first = Stopping(len(whole.asked) // 3)
    second = Stopping(len(whole.asked) // 3)
    for policy, scorer in ((first, scorers[0]), (second, scorers[1])):
        with pytest.raises(SystemExit):
            search(tmp_path / "run", policy, scorer, **options)
    third = Stopping()
    with no_warning():
        search(tmp_path / "run", third, scorers[2], **options)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    # The two requests of a batch in which the search was stopped were not answered.
    expanded = first.asked[:-2] + second.asked[:-2] + third.asked
    assert len(expanded) - len(set(expanded)) <= 2
    scored = [one for scorer in scorers for one in scorer.asked]
    assert len(scored) == len(set(scored))
    assert not (tmp_path / "run/under_way").exists()


def test_kills(tmp_path: Path) -> None:
    sizes = (4, 40)
    search_once(tmp_path / "whole", tmp_path / "whole.log", *sizes)
    kills = kill_until_done(tmp_path / "run", tmp_path / "log", *sizes, 5, seed=0, longest_s=0.5)
    assert kills >= 1
    assert trees(tmp_path / "run") == trees(tmp_path / "whole")
    wrong, _, _ = asked_again(tmp_path / "log")
    assert not wrong


def test_timings_go_on(tmp_path: Path) -> None:
    class Slow(Stopping):
        def step(self) -> list[Expansion]:
            time.sleep(0.01)
            return super().step()

    with pytest.raises(SystemExit):
        search(tmp_path, Slow(60), count=1, rollouts=30)
    (ended,) = search(tmp_path, Stopping(), count=1, rollouts=30)
    assert isinstance(ended, Tree)
    assert ended.timings["total"] > ended.timings["expand_wait"] > 0.2


def test_a_torn_end_is_asked_again(tmp_path: Path, whole: dict[str, Any]) -> None:
    stopped(tmp_path, 40, **STRATEGIES["mcts"])
    for path in journals(tmp_path):
        path.write_bytes(path.read_bytes()[:-20])
    with no_warning():
        search(tmp_path, Stopping(), **STRATEGIES["mcts"])
    assert contents(tmp_path) == whole


def test_a_damaged_journal_is_named_and_its_tree_begins_anew(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    stopped(tmp_path, 40, **STRATEGIES["mcts"])
    path, *others = journals(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    policy = Stopping()
    with pytest.warns(
        UserWarning, match=rf"{path.name}:2: damaged: .*; the tree of problem 'p\d' begins anew"
    ):
        search(tmp_path, policy, **STRATEGIES["mcts"])
    assert contents(tmp_path) == whole
    assert others and len([one for one in policy.asked if one[1] == 0]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("configuration", "0" * 32), ("question", "else"), ("answers", ["5"]), ("format", 2)],
)
def test_a_journal_of_another_search_is_not_used(
    name: str, value: object, tmp_path: Path, whole: dict[str, Any]
) -> None:
    stopped(tmp_path, 40, **STRATEGIES["mcts"])
    path = journals(tmp_path)[0]
    lines = path.read_bytes().splitlines(True)
    header = json.loads(lines[0])
    del header["checksum"]
    path.write_bytes(b"".join([json.dumps({**header, name: value}).encode() + b"\n", *lines[1:]]))
    with pytest.warns(UserWarning, match=rf"{path.name}:1: of another {name}; .* begins anew"):
        search(tmp_path, Stopping(), **STRATEGIES["mcts"])
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("harm", [broken, with_odd_value])
def test_any_damage_is_survived(harm: Any, tmp_path: Path, whole: dict[str, Any]) -> None:
    stopped(tmp_path / "good", 40, **STRATEGIES["mcts"])
    for seed in range(8):
        random = Random(seed)
        run = shutil.copytree(tmp_path / "good", tmp_path / str(seed))
        path = random.choice(journals(run))
        path.write_bytes(harm(path.read_bytes(), random))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ended = search(run, Stopping(), **STRATEGIES["mcts"])
        assert len(ended) == 3 and not journals(run)
        # An odd value without a checksum may be valid all the same.
        if harm is broken:
            assert contents(run) == whole


def test_the_room_of_a_tree_is_free_when_it_ends(tmp_path: Path) -> None:
    class Slow(Policy):
        def step(self) -> list[Expansion]:
            time.sleep(0.02)
            return super().step()

    seen = 0
    with (
        RunFolder.open(tmp_path, {}) as run,
        searcher(Slow(batch=1), max_active=2, rollouts=20) as one,
    ):
        for ended in search_to_folder(one, problems(6), run):
            # The journal of the tree that was taken before is gone, and two others may be there.
            assert len(journals(tmp_path)) <= 4
            seen += bool(journals(tmp_path))
            assert isinstance(ended, Tree)
    assert seen and not (tmp_path / "under_way").exists()


def test_a_failed_problem_begins_anew(tmp_path: Path, whole: dict[str, Any]) -> None:
    class Fails(Stopping):
        def step(self) -> list[Expansion]:
            return [
                Expansion(one.request_id, error="no") if len(self.asked) > 40 else one
                for one in super().step()
            ]

    assert all(isinstance(one, Failure) for one in search(tmp_path, Fails(), **STRATEGIES["mcts"]))
    assert not journals(tmp_path)
    search(tmp_path, Stopping(), **STRATEGIES["mcts"])
    assert contents(tmp_path) == whole


def test_a_journal_of_a_finished_tree_is_deleted(tmp_path: Path) -> None:
    stopped(tmp_path, 40, **STRATEGIES["mcts"])
    kept = {path.name: path.read_bytes() for path in journals(tmp_path)}
    search(tmp_path, Stopping(), **STRATEGIES["mcts"])
    (tmp_path / "under_way").mkdir()
    for name, data in kept.items():
        (tmp_path / "under_way" / name).write_bytes(data)
    RunFolder.open(tmp_path, {}).close()
    assert not (tmp_path / "under_way").exists()


@pytest.mark.parametrize("what", ["folder", "lock", "under_way"])
def test_a_folder_that_is_taken_away_stops_a_long_tree(what: str, tmp_path: Path) -> None:
    path = tmp_path / "run"

    class Takes(Policy):
        def __init__(self) -> None:
            super().__init__(batch=1)
            self.steps = 0

        def step(self) -> list[Expansion]:
            time.sleep(0.01)
            self.steps += 1
            if what == "folder" and self.steps == 100:
                shutil.rmtree(path)
            if what == "lock" and self.steps == 100:
                (path / "lock").unlink()
            if what == "under_way" and journals(path):
                shutil.rmtree(path / "under_way")
            # A tree that takes minutes.
            return super().step()

    with pytest.raises(StoreError, match=r"deleted or replaced|could not write what engines told"):
        search(path, Takes(), count=1, rollouts=3000, max_depth=40, max_active=1)


def test_the_folder_of_the_journals_may_not_be_a_link(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run", {}).close()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run/under_way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="under_way: expected a folder that is no link"):
        RunFolder.open(tmp_path / "run", {})


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/etc/passwd", path)])
def test_what_is_no_journal_is_replaced(make: Any, tmp_path: Path, whole: dict[str, Any]) -> None:
    stopped(tmp_path, 40, **STRATEGIES["mcts"])
    path = journals(tmp_path)[0]
    path.unlink()
    make(path)
    with pytest.warns(UserWarning, match=f"{path.name}: expected a file that is no link; .*anew"):
        search(tmp_path, Stopping(), **STRATEGIES["mcts"])
    assert contents(tmp_path) == whole


def test_answers_come_back_as_they_were() -> None:
    numbers = b"\1\0\0\0" * 3, b"\0\0\0\xbf" * 3
    step = WrittenStep("a\ud800\0\u2028é", *numbers, False, "eos", True, 3)
    for kind, answer in (
        ("expand", [step, WrittenStep("", b"", b"", True, "mark", False)]),
        ("expand", [WrittenStep("", b"", b"", True, "mark", False, 1)]),
        ("run", Observation(Status.TIMEOUT, "é\udfff", 0.1, 1 / 3, 7)),
        ("run", Observation(Status.OK, "")),
        ("grade", Grade(True)),
        ("grade", Grade(False, Status.CRASH)),
        ("grade", Grade(False, unsure=True, layer=Layer.READ)),
        ("score", [0.1, -1.0, 1 / 3]),
    ):
        text = json.dumps(plain_answer(answer))  # type: ignore[arg-type]
        assert answer_of_plain(kind, json.loads(text)) == answer


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("expand", [5]),
        ("expand", []),
        ("expand", [["x", 1, 0], "AA=="]),
        ("expand", [["x", 0, 0], "?"]),
        ("expand", [["x", 1, 2], "AAAAAAAAAAAAAAAA"]),
        ("expand", [["x", -1, 0], ""]),
        ("expand", [["x", 0, 0, True, "mark", False, -1], ""]),
        ("expand", [["x", 0, 0, True, "mark", False, True], ""]),
        ("expand", [["x", "0", 0], ""]),
        ("expand", [["x", 0, 0, 1, "mark"], ""]),
        ("expand", [["x", 0, 0, True, "done"], ""]),
        ("expand", [["x", 0, 0], None]),
        ("run", ["fine", "x"]),
        ("run", ["ok", None]),
        ("run", ["ok", "x", 0, 0, 0, 0]),
        ("grade", []),
        ("grade", [1]),
        ("score", [2.0]),
        ("score", [float("nan")]),
        ("else", []),
    ],
)
def test_what_is_no_answer_is_refused(kind: str, values: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        answer_of_plain(kind, values)
