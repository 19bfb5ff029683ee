"""The index of a run folder: a help for reading, made from the records again whatever happens."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from trees import odd_tree, small_tree

from rstar_fast.errors import StoreError
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder, TreeSummary, finished, records
from rstar_fast.store.index import INDEX, read_index
from rstar_fast.store.journal import sealed_line
from rstar_fast.tree import Node, Tree

CONFIG = {"policy": "tiny"}
KEYS = ["a", "ü∑", "日本 #1", "c#0", "😀", "\u2028\x00\\", "x" * 300, "z"]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a new part every two or three trees."""
    monkeypatch.setattr(finished, "MAX_PART_BYTES", 4000)


def fill(path: Path, keys: list[str] = KEYS) -> Path:
    with RunFolder.open(path, CONFIG) as run:
        for key in keys:
            run.append(odd_tree(key))
    return path


def told(path: Path) -> list[object]:
    """Return the keys and summaries of a run, and each tree, read by its key alone."""
    run = RunFolder.read(path)
    return [list(run.done), list(run.summaries()), [run.tree(key) for key in run.done]]


def index_of(path: Path) -> bytes:
    return (path / INDEX).read_bytes()


def parts_of(path: Path) -> list[str]:
    return [one.name for one in finished.find_parts(path)]


@pytest.fixture
def no_records(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the records that are read as trees."""
    count = 0
    real = records.record_to_tree

    def counting(record: dict[str, object]) -> Tree:
        nonlocal count
        count += 1
        return real(record)

    monkeypatch.setattr(finished, "record_to_tree", counting)
    return lambda: count


def test_an_index_has_all_that_a_table_needs(tmp_path: Path) -> None:
    tree = small_tree(copy=2)
    with RunFolder.open(tmp_path, CONFIG) as run:
        run.append(tree)
        assert list(run.summaries()) == [TreeSummary.of(tree)]
    (summary,) = RunFolder.read(tmp_path).summaries()
    assert summary == TreeSummary(
        "p-1#2", 2, "5", True, "5", True, True, unsure=0, nodes=6, tokens=1234, seconds=1.5
    )
    assert summary.problem_id == "p-1"
    line = json.loads(index_of(tmp_path))
    assert (line["id"], line["part"], line["offset"]) == ("p-1#2", 0, 0)
    assert line["length"] == (tmp_path / "trees.jsonl").stat().st_size


def test_a_tree_is_read_alone(tmp_path: Path, no_records: Callable[[], int]) -> None:
    fill(tmp_path)
    before = no_records()
    run = RunFolder.read(tmp_path)
    assert run.tree("😀").problem.id == "😀"
    # One more is looked at to see whether the index fits the records.
    assert no_records() - before == 2
    with pytest.raises(KeyError):
        run.tree("b")


def test_opening_reads_no_records(
    tmp_path: Path, small_parts: None, no_records: Callable[[], int]
) -> None:
    fill(tmp_path)
    before = no_records()
    with RunFolder.open(tmp_path, CONFIG) as run:
        run.check([Problem(key, "How many?", ("7", "seven")) for key in KEYS])
        assert len(list(run.summaries())) == len(KEYS)
    assert no_records() - before == len(parts_of(tmp_path))


@pytest.mark.usefixtures("small_parts")
class TestParts:
    def test_parts_are_of_bounded_size_and_read_in_order(self, tmp_path: Path) -> None:
        fill(fill(tmp_path, KEYS[:5]), KEYS[5:])
        assert len(parts_of(tmp_path)) > 2
        assert all((tmp_path / name).stat().st_size < 8000 for name in parts_of(tmp_path))
        assert [tree.problem.id for tree in RunFolder.read(tmp_path).trees()] == KEYS
        assert told(tmp_path)[0] == KEYS
        assert told(tmp_path)[2] == list(RunFolder.read(tmp_path).trees())

    def test_a_file_of_an_older_version_is_the_first_part(self, tmp_path: Path) -> None:
        path = fill(tmp_path / "run")
        good = told(path)
        old = tmp_path / "old"
        old.mkdir()
        shutil.copy(path / "config.json", old)
        whole = b"".join((path / name).read_bytes() for name in parts_of(path))
        (old / "trees.jsonl").write_bytes(whole)
        assert told(old) == good
        fill(old, ["new"])
        assert (old / "trees.jsonl").read_bytes() == whole
        assert [tree.problem.id for tree in RunFolder.read(old).trees()] == [*KEYS, "new"]
        assert len(list(read_index(old / INDEX))) == len(KEYS) + 1

    def test_a_part_that_is_missing_is_named(self, tmp_path: Path) -> None:
        fill(tmp_path)
        (tmp_path / "trees-1.jsonl").unlink()
        for use in (RunFolder.read, lambda path: RunFolder.open(path, CONFIG)):
            with pytest.raises(StoreError, match=r"trees-1\.jsonl: missing, but there are later"):
                use(tmp_path)

    def test_an_error_names_the_part_and_its_line(self, tmp_path: Path) -> None:
        fill(tmp_path)
        path = tmp_path / "trees-1.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b"How", b"Who")]))
        with pytest.raises(StoreError, match=rf"trees-1\.jsonl:{len(lines)}: damaged"):
            RunFolder.read(tmp_path)

    def test_ids_are_unique_over_all_parts(self, tmp_path: Path) -> None:
        fill(tmp_path)
        last = tmp_path / parts_of(tmp_path)[-1]
        number = last.read_bytes().count(b"\n") + 1
        first = (tmp_path / "trees.jsonl").read_bytes().splitlines(keepends=True)[0]
        last.write_bytes(last.read_bytes() + first)
        message = rf"{last.name}:{number}: damaged: a second tree of problem 'a'"
        with pytest.raises(StoreError, match=message):
            RunFolder.read(tmp_path)

    def test_a_part_that_cannot_be_begun_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with RunFolder.open(tmp_path, CONFIG) as run:
            added = 0
            while run._finished._journal is not None and run._finished._journal.size < 4000:
                run.append(odd_tree(KEYS[added]))
                added += 1
            with monkeypatch.context() as patch:
                patch.setattr(os, "ftruncate", full)
                with pytest.raises(StoreError, match=r"trees-1\.jsonl: could not be begun: No sp"):
                    run.append(odd_tree(KEYS[added]))
            for key in KEYS[added:]:
                run.append(odd_tree(key))
        assert told(tmp_path)[0] == KEYS


@pytest.mark.usefixtures("small_parts")
class TestDerived:
    """Whatever an index is like, the records decide, and the next writer mends it."""

    def check(self, path: Path, good: list[object], right: bytes) -> None:
        assert told(path) == good
        RunFolder.open(path, CONFIG).close()
        assert index_of(path) == right
        assert told(path) == good

    def test_without_an_index(self, tmp_path: Path) -> None:
        good, right = told(fill(tmp_path)), index_of(tmp_path)
        (tmp_path / INDEX).unlink()
        self.check(tmp_path, good, right)

    def test_killed_at_any_byte_of_an_index(self, tmp_path: Path) -> None:
        good, right = told(fill(tmp_path)), index_of(tmp_path)
        for size in range(0, len(right), 97):
            (tmp_path / INDEX).write_bytes(right[:size])
            self.check(tmp_path, good, right)

    def test_any_damage_to_an_index(self, tmp_path: Path) -> None:
        good, right = told(fill(tmp_path)), index_of(tmp_path)
        random = Random(0)
        lines = right.splitlines(keepends=True)
        for _ in range(60):
            at = random.randrange(len(right))
            damaged = random.choice(
                (
                    right[:at] + bytes([right[at] ^ 1 << random.randrange(8)]) + right[at + 1 :],
                    right[:at] + b"\0" * (len(right) - at),
                    b"".join(random.sample(lines, len(lines))),
                    b"".join(random.choices(lines, k=len(lines))),
                    right + random.choice(lines),
                )
            )
            (tmp_path / INDEX).write_bytes(damaged)
            self.check(tmp_path, good, right)

    @pytest.mark.parametrize(
        "change",
        [
            *({"part": value} for value in (1, -1, 2**63 - 1, 10**30, None, True)),
            *({"offset": value} for value in (1, -1, 2**63 - 1, 0.0)),
            *({"length": value} for value in (0, -5, 2**62, "9")),
            {"crc": 5},
            {"crc": -1},
            {"problem": 5},
            {"id": 7},
            {"id": "b"},
            {"nodes": "many"},
            {"best": ["5"]},
            {"seconds": "x"},
            {"more": 1},
        ],
    )
    def test_an_index_that_lies_about_its_last_entry(
        self, tmp_path: Path, change: dict[str, object]
    ) -> None:
        good, right = told(fill(tmp_path)), index_of(tmp_path)
        lines = right.splitlines(keepends=True)
        record = json.loads(lines[-1])
        del record["checksum"]
        (tmp_path / INDEX).write_bytes(b"".join([*lines[:-1], sealed_line({**record, **change})]))
        self.check(tmp_path, good, right)

    def test_an_index_that_lies_about_a_tree_in_the_middle(self, tmp_path: Path) -> None:
        good, right = told(fill(tmp_path)), index_of(tmp_path)
        lines = right.splitlines(keepends=True)
        record = json.loads(lines[0])
        del record["checksum"]
        lines[0] = sealed_line({**record, "id": "b"})
        (tmp_path / INDEX).write_bytes(b"".join(lines))
        run = RunFolder.read(tmp_path)
        assert next(iter(run.done)) == "b"
        with pytest.raises(KeyError):
            run.tree("b")
        assert list(run.done) == KEYS and [run.tree(key) for key in KEYS] == good[2]

    def test_of_another_run(self, tmp_path: Path) -> None:
        good, right = told(fill(tmp_path / "a")), index_of(tmp_path / "a")
        other = fill(tmp_path / "b", KEYS[::-1])
        shutil.copy(other / INDEX, tmp_path / "a" / INDEX)
        self.check(tmp_path / "a", good, right)

    def test_records_that_somebody_took_out(self, tmp_path: Path) -> None:
        fill(tmp_path)
        path = tmp_path / "trees-1.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
        run = RunFolder.read(tmp_path)
        assert list(run.done) == [tree.problem.id for tree in run.trees()] != KEYS
        assert [run.tree(key).problem.id for key in run.done] == list(run.done)

    def test_damage_behind_the_index_is_named_when_its_tree_is_read(self, tmp_path: Path) -> None:
        fill(tmp_path)
        path = tmp_path / "trees.jsonl"
        path.write_bytes(path.read_bytes().replace(b"How", b"Who", 1))
        run = RunFolder.read(tmp_path)
        assert run.tree("z")
        for read in (lambda: run.tree("a"), lambda: list(run.trees())):
            with pytest.raises(StoreError, match=r"trees\.jsonl:1: damaged"):
                read()

    def test_nothing_that_is_no_file_is_an_index(self, tmp_path: Path) -> None:
        good = told(fill(tmp_path))
        (tmp_path / INDEX).unlink()
        os.mkfifo(tmp_path / INDEX)
        assert told(tmp_path) == good
        with pytest.raises(StoreError, match="could not be opened for writing"):
            RunFolder.open(tmp_path, CONFIG)
        (tmp_path / INDEX).unlink()
        precious = tmp_path / "precious"
        precious.write_text("mine")
        (tmp_path / INDEX).symlink_to(precious)
        assert told(tmp_path) == good
        with pytest.raises(StoreError, match=f"{INDEX} is a link, which is not followed"):
            RunFolder.open(tmp_path, CONFIG)
        assert precious.read_text() == "mine"


def test_a_disk_that_refuses_the_index_loses_no_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunFolder.open(tmp_path, CONFIG) as run:
        run.append(odd_tree("a"))
        real, index = os.write, os.stat(tmp_path / INDEX).st_ino

        def refusing(fd: int, data: memoryview) -> int:
            if os.fstat(fd).st_ino == index:
                real(fd, data[:10])
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing)
            run.append(odd_tree("b"))
        run.append(odd_tree("c"))
        assert list(run.done) == ["a", "b", "c"]
    assert told(tmp_path)[0] == ["a", "b", "c"]
    assert len(list(read_index(tmp_path / INDEX))) == 1
    RunFolder.open(tmp_path, CONFIG).close()
    assert len(list(read_index(tmp_path / INDEX))) == 3


WRITER = """
import os, sys
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder, finished
from rstar_fast.tree import Node, Tree
finished.MAX_PART_BYTES = 20_000
os.fsync = lambda fd: None
with RunFolder.open(sys.argv[1], {}) as run:
    number = len(run.done)
    print(number, flush=True)
    while True:
        run.append(Tree(Problem(str(number), "q" * 2000), [Node(0, -1, 0)]))
        number += 1
"""


def test_killed_while_writing_an_index(tmp_path: Path) -> None:
    """Every other time the index is lost as well, so that it is killed while it makes a new one."""
    random, before = Random(0), 0
    for turn in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert int(writer.stdout.readline()) >= before
        parts = len(list(tmp_path.glob("trees*")))
        while len(list(tmp_path.glob("trees*"))) < parts + 2:
            assert writer.poll() is None
            time.sleep(0.01)
        writer.kill()
        writer.communicate()
        index = tmp_path / INDEX
        if turn % 2:
            index.write_bytes(index.read_bytes()[: random.randrange(index.stat().st_size)])
        run = RunFolder.read(tmp_path)
        assert list(run.done) == [str(i) for i in range(len(run.done))]
        assert [tree.problem.key for tree in run.trees()] == list(run.done)
        assert len(run.done) > before
        before = len(run.done)
    RunFolder.open(tmp_path, {}).close()
    assert [entry.summary.id for entry, _ in read_index(index)] == list(map(str, range(before)))


def test_an_index_is_much_smaller_than_the_records(tmp_path: Path) -> None:
    steps = [Node(i, 0, 1, "x" * 500, end="answer", answer="y" * 5000) for i in range(1, 20)]
    with RunFolder.open(tmp_path, CONFIG) as run:
        run.append(Tree(Problem("a", "q" * 10_000, ("z" * 5000,) * 9), [Node(0, -1, 0), *steps]))
    assert len(index_of(tmp_path)) < 1000
