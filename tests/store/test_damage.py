"""Damaged and hostile run folders: every fault is named, with file and line."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from trees import odd_tree

from rstar_fast.errors import StoreError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder

CONFIG = {"search": {"c": 2.0, "seed": 0}, "policy": "tiny"}
FILES = ("trees.jsonl", "failures.jsonl", "sessions.jsonl", "config.json")
SESSION = {"ended": "done", "trees": 2, "failures": 1, "wall_s": 1.5, "resources": {}}


def fill(path: Path) -> Path:
    with RunFolder.open(path, CONFIG) as run:
        run.append(odd_tree("a"))
        run.append(odd_tree("b"))
        run.fail(Failure(Problem("c", "q"), "PolicyError", "gone"))
        run.end_session(SESSION)
    return path


def contents(path: Path) -> list[object]:
    """Everything that a run folder says, read by all that reads it."""
    run = RunFolder.read(path)
    return [run.config, list(run.trees()), run.failures(), run.sessions()]


def flips(data: bytes, random: Random) -> Iterator[bytes]:
    for at in random.sample(range(len(data)), min(len(data), 150)):
        yield data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


@pytest.mark.parametrize("name", FILES)
def test_every_bit_counts(tmp_path: Path, name: str) -> None:
    path = fill(tmp_path)
    before, good = contents(path), (path / name).read_bytes()
    for damaged in flips(good, Random(0)):
        (path / name).write_bytes(damaged)
        with pytest.raises(StoreError, match=rf"{name}(:\d)?: .*damaged"):
            contents(path)
        with pytest.raises(StoreError):
            contents_after_opening(path)
    (path / name).write_bytes(good)
    assert contents(path) == before == contents_after_opening(path)


def contents_after_opening(path: Path) -> list[object]:
    with RunFolder.open(path, CONFIG):
        return contents(path)


@pytest.mark.parametrize("name", FILES[:3])
def test_a_cut_loses_the_torn_line_alone(tmp_path: Path, name: str) -> None:
    path = fill(tmp_path / "run")
    good = (path / name).read_bytes()
    for size in Random(0).sample(range(len(good)), 40):
        copy = shutil.copytree(path, tmp_path / str(size))
        (copy / name).write_bytes(good[:size])
        lines = good[:size].count(b"\n")
        contents(copy)
        contents_after_opening(copy)
        assert (copy / name).read_bytes() == b"".join(good.splitlines(True)[:lines])


def test_lines_of_older_versions_have_no_checksum(tmp_path: Path) -> None:
    path = fill(tmp_path)
    before = contents(path)
    for name in FILES:
        rows = (path / name).read_text().split("\n{")
        (path / name).write_text(
            "\n{".join(
                json.dumps(
                    {
                        k: v
                        for k, v in json.loads(row if i == 0 else "{" + row).items()
                        if k != "checksum"
                    }
                )[i > 0 :]
                for i, row in enumerate(rows)
            )
            + "\n"
        )
        assert "checksum" not in (path / name).read_text()
    assert contents(path) == before == contents_after_opening(path)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"5",
        b'{"id": 5}',
        b'{"id": "x", "n": ' + b"9" * 5000 + b"}",
        b'{"id": "x", "a": ' + b"[" * 100 + b"]" * 100 + b"}",
        b"[" * 100_000,
        b'{"id": "x", "q": NaN}',
        b'{"id": "x", "format": 1, "wall_s": [], "nodes": []}',
        b'{"id": "x", "wall_s": "1", "answers": 5}',
        b"\xff",
        b"",
    ],
)
@pytest.mark.parametrize("name", FILES[:3])
def test_a_damaged_last_line_is_not_dropped(tmp_path: Path, name: str, line: bytes) -> None:
    path = fill(tmp_path)
    number = (path / name).read_bytes().count(b"\n") + 1
    with (path / name).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(StoreError, match=rf"{name}:{number}: "):
        contents(path)


def as_link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["lock", *FILES[:3]])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("")
    path = fill(tmp_path / "run")
    as_link(path / name, precious)
    with pytest.raises(StoreError, match=f"{name} is a link, which is not followed"):
        RunFolder.open(path, CONFIG)
    assert precious.read_text() == ""


def test_the_configuration_is_not_written_through_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run").mkdir()
    as_link(tmp_path / "run" / "config.json.tmp", precious)
    RunFolder.open(tmp_path / "run", CONFIG).close()
    assert precious.read_text() == "mine"
    assert RunFolder.read(tmp_path / "run").config == CONFIG


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str) -> None:
    path = fill(tmp_path)
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        (path / name).unlink() if (path / name).is_file() else None
        make(path / name)  # type: ignore[operator]
        with pytest.raises(StoreError, match=name.replace(".", r"\.")):
            contents(path)
        with pytest.raises(StoreError):
            contents_after_opening(path)
        (path / name).rmdir() if (path / name).is_dir() else (path / name).unlink()


def gone(path: Path) -> None:
    shutil.rmtree(path)


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def unlocked(path: Path) -> None:
    (path / "lock").unlink()


def without_trees(path: Path) -> None:
    (path / "trees.jsonl").unlink()


@pytest.mark.parametrize("harm", [gone, moved, unlocked, without_trees])
def test_a_folder_that_is_taken_away_stops_the_run(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "run"
    run = RunFolder.open(path, CONFIG)
    run.append(odd_tree("a"))
    harm(path)
    with pytest.raises(StoreError, match="deleted or replaced while a run was"):
        run.append(odd_tree("b"))
    run.close()


def test_the_message_names_the_place_of_a_second_tree(tmp_path: Path) -> None:
    path = fill(tmp_path)
    lines = (path / "trees.jsonl").read_bytes().splitlines(True)
    (path / "trees.jsonl").write_bytes(b"".join([*lines, lines[0]]))
    with pytest.raises(StoreError, match=r"trees\.jsonl:3: damaged: a second tree of problem 'a'"):
        contents(path)
