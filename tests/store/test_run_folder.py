"""Run folders: what is written comes back, nothing is lost, and nothing is there twice."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from trees import odd_tree

from rstar_fast.errors import PolicyError, StoreError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder

CONFIG = {"search": {"c": 2.0, "seed": 0}, "policy": "tiny", "marks": ["a", "b"]}


def lines(path: Path) -> list[str]:
    return (path / "trees.jsonl").read_text().split("\n")[:-1]


def failed(problem_id: str, reason: str) -> Failure:
    return Failure(Problem(problem_id, "q"), "PolicyError", reason)


class TestRunFolder:
    def test_write_read_resume(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "run"
        with RunFolder.open(path, CONFIG) as run:
            assert run.done == set()
            run.append(odd_tree("a"))
            run.append(odd_tree("ü∑"))
            with pytest.raises(StoreError, match="'a' has a tree already"):
                run.append(odd_tree("a"))
        with RunFolder.open(path, CONFIG) as run:
            assert run.done == {"a", "ü∑"}
            run.append(odd_tree("c"))
        assert [tree.problem.id for tree in RunFolder.read(path).trees()] == ["a", "ü∑", "c"]
        assert RunFolder.read(path).config == CONFIG

    def test_copies_of_a_problem_are_stored_apart(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(odd_tree("a", copy=0))
            run.append(odd_tree("a", copy=11))
            run.append(odd_tree("a"))
            run.fail(Failure(Problem("a", "q", copy=2), "PolicyError", "gone"))
            with pytest.raises(StoreError, match="'a#11' has a tree already"):
                run.append(odd_tree("a", copy=11))
        with RunFolder.open(tmp_path, CONFIG) as run:
            assert run.done == {"a#0", "a#11", "a"}
            assert [failure.problem.key for failure in run.failures()] == ["a#2"]
            run.append(odd_tree("a", copy=2))
            assert run.failures() == []
        problems = [tree.problem for tree in RunFolder.read(tmp_path).trees()]
        assert [(one.id, one.copy) for one in problems] == [
            ("a", 0),
            ("a", 11),
            ("a", None),
            ("a", 2),
        ]
        assert [json.loads(line)["id"] for line in lines(tmp_path)] == ["a#0", "a#11", "a", "a#2"]

    def test_a_failure_comes_back_as_it_was_written(self, tmp_path: Path) -> None:
        problem = Problem("a", "How many?\n", ("7", "seven"), copy=3)
        try:
            raise PolicyError("no candidates")
        except PolicyError as error:
            failure = Failure.of(problem, error)
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.fail(failure)
            (back,) = run.failures()
        assert back.time.endswith("+00:00")
        assert back == replace(failure, time=back.time)
        assert "raise PolicyError" in back.traceback
        (record,) = map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines())
        fields = {"id", "copy", "question", "answers", "reason", "error_type", "traceback", "time"}
        fields.add("checksum")
        assert record.keys() == fields
        assert (record["id"], record["copy"]) == ("a#3", 3)

    def test_a_failure_of_an_older_version_is_read(self, tmp_path: Path) -> None:
        RunFolder.open(tmp_path, CONFIG).close()
        old = {"id": "a", "reason": "gone", "error_type": "PolicyError", "time": "2026-01-01"}
        (tmp_path / "failures.jsonl").write_text(json.dumps(old) + "\n")
        assert RunFolder.read(tmp_path).failures() == [
            Failure(Problem("a", ""), "PolicyError", "gone", "", "2026-01-01")
        ]

    def test_failures_are_kept_until_the_problem_is_done(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.fail(failed("a", "first"))
            run.fail(failed("a", "bad input"))
            run.fail(failed("b", "gone"))
            assert run.done == set()
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(odd_tree("b"))
            (failure,) = run.failures()
        assert (failure.problem.id, failure.reason) == ("a", "bad input")

    @pytest.mark.parametrize(
        "torn",
        [
            b'{"format":1,"id":"c"',
            b"\0" * 50,
            b'{"format":1,"id":"c"}',
        ],
    )
    def test_a_torn_last_line_is_dropped(self, tmp_path: Path, torn: bytes) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(odd_tree("a"))
            run.fail(failed("b", "reason"))
        for name in ("trees.jsonl", "failures.jsonl"):
            with (tmp_path / name).open("ab") as file:
                file.write(torn)
        assert [tree.problem.id for tree in RunFolder.read(tmp_path).trees()] == ["a"]
        with RunFolder.open(tmp_path, CONFIG) as run:
            assert run.done == {"a"}
            assert [failure.problem.id for failure in run.failures()] == ["b"]
            run.append(odd_tree("c"))
        assert [json.loads(line)["id"] for line in lines(tmp_path)] == ["a", "c"]

    def test_damage_in_the_middle_is_an_error(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            for name in "abc":
                run.append(odd_tree(name))
        good = lines(tmp_path)
        (tmp_path / "trees.jsonl").write_text("\n".join([good[0], good[1][:40], good[2]]) + "\n")
        with pytest.raises(StoreError, match=r"trees\.jsonl:2: damaged"):
            RunFolder.open(tmp_path, CONFIG)
        (tmp_path / "trees.jsonl").write_text("\n".join([good[0], good[1], good[0]]) + "\n")
        with pytest.raises(
            StoreError, match=r"trees\.jsonl:3: damaged: a second tree of problem 'a'"
        ):
            RunFolder.open(tmp_path, CONFIG)

    def test_another_config_is_refused_with_the_difference(self, tmp_path: Path) -> None:
        RunFolder.open(tmp_path, CONFIG).close()
        other = {"search": {"c": 1.0, "seed": 0, "depth": 4}, "marks": ("a", "b")}
        with pytest.raises(StoreError) as caught:
            RunFolder.open(tmp_path, other)
        message = str(caught.value)
        changes = [
            "  search.c: 2.0 -> 1.0",
            '  policy: "tiny" -> (not set)',
            "  search.depth: (not set) -> 4",
        ]
        assert "\n".join([*changes, ""]) in message
        assert "marks" not in message and "seed" not in message
        RunFolder.open(tmp_path, {**CONFIG, "marks": ("a", "b")}).close()
        with pytest.raises(StoreError, match="expected JSON values"):
            RunFolder.open(tmp_path, {"c": float("nan")})
        with pytest.raises(StoreError, match="expected no key 'checksum'"):
            RunFolder.open(tmp_path, {"checksum": "00000000"})

    def test_check_refuses_another_question(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(odd_tree("a", "How many?"))
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.check([Problem("a", "How many?", ("7", "seven")), Problem("b", "new")])
            with pytest.raises(
                StoreError,
                match=r"'a' was searched with another question: 'How many\?' -> 'How much\?'",
            ):
                run.check([Problem("a", "How much?")])
            with pytest.raises(
                StoreError,
                match=r"'a' was searched with other answers: \['7', 'seven'\] -> \['8'\]",
            ):
                run.check([Problem("a", "How many?", "8")])

    def test_folders_that_are_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"no config\.json"):
            RunFolder.read(tmp_path / "none")
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="not usable as a run folder"):
            RunFolder.open(tmp_path / "file", CONFIG)
        (tmp_path / "trees.jsonl").write_text("")
        with pytest.raises(StoreError, match=r"without config\.json"):
            RunFolder.open(tmp_path, CONFIG)
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(StoreError, match=r"config\.json: cannot be read"):
            RunFolder.open(tmp_path, CONFIG)

    def test_reading_does_not_write(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(odd_tree("a"))
            reader = RunFolder.read(tmp_path)
            with pytest.raises(StoreError, match="not open for writing"):
                reader.append(odd_tree("b"))
            with pytest.raises(StoreError, match="not open for writing"):
                reader.fail(failed("b", "reason"))


class TestFullDisk:
    @pytest.mark.parametrize("where", ["write", "fsync"])
    def test_the_line_is_taken_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        real_write = os.write
        full = OSError(errno.ENOSPC, "No space left on device")

        def half_a_line(fd: int, data: memoryview) -> int:
            if len(data) < 200:
                raise full
            return real_write(fd, data[: len(data) // 2])

        def refuse(fd: int) -> None:
            raise full

        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(odd_tree("a"))
            before = (tmp_path / "trees.jsonl").read_bytes()
            with monkeypatch.context() as patch:
                patch.setattr(os, where, half_a_line if where == "write" else refuse)
                with pytest.raises(
                    StoreError,
                    match=r"could not write the tree of problem 'b' \(\d+ bytes\): No space left",
                ):
                    run.append(odd_tree("b"))
            assert (tmp_path / "trees.jsonl").read_bytes() == before
            assert run.done == {"a"}
            run.append(odd_tree("b"))
        assert [json.loads(line)["id"] for line in lines(tmp_path)] == ["a", "b"]

    def test_a_line_that_could_not_be_taken_back_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with RunFolder.open(tmp_path, CONFIG) as run:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", refuse)
                patch.setattr(os, "ftruncate", refuse)
                with pytest.raises(StoreError, match="Input/output error"):
                    run.append(odd_tree("a"))
            run.append(odd_tree("b"))
        assert [json.loads(line)["id"] for line in lines(tmp_path)] == ["b"]

    def test_a_really_full_disk(self, tmp_path: Path) -> None:
        code = """
import resource, signal, sys
from rstar_fast.errors import StoreError
from rstar_fast.store import RunFolder
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree
run = RunFolder.open(sys.argv[1], {})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for i in range(9):
    try:
        run.append(Tree(Problem(str(i), "q"), [Node(0, -1, 0)]))
    except StoreError as error:
        print(error)
"""
        printed = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout
        assert "could not write the tree of problem '8'" in printed
        run = RunFolder.read(tmp_path)
        assert 0 < len(run.done) < 9
        assert (tmp_path / "trees.jsonl").read_bytes().endswith(b"}\n")


WRITER = """
import os, sys, time
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder
from rstar_fast.tree import Node, Tree
run = RunFolder.open(sys.argv[1], {"c": 1})
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(60)
number = len(run.done)
while True:
    steps = [Node(i, 0, 1, "x" * 200) for i in range(1, 500)]
    run.append(Tree(Problem(str(number), "q"), [Node(0, -1, 0), *steps]))
    print(number, flush=True)
    number += 1
"""


def start_writer(path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(path), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


class TestProcesses:
    def test_killed_in_the_middle_of_writing(self, tmp_path: Path) -> None:
        for _ in range(4):
            writer = start_writer(tmp_path)
            assert writer.stdout is not None
            for _ in range(5):
                writer.stdout.readline()
            writer.kill()
            told = writer.stdout.read().split()
            writer.communicate()
            with RunFolder.open(tmp_path, {"c": 1}) as run:
                found = [int(tree.problem.id) for tree in run.trees()]
                assert found == list(range(len(found)))
                assert len(found) == len(run.done) >= 5
                assert not told or int(told[-1]) in found

    def test_two_writers(self, tmp_path: Path) -> None:
        writer = start_writer(tmp_path)
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            with pytest.raises(StoreError, match=f"in use: process {writer.pid} is writing it"):
                RunFolder.open(tmp_path, {"c": 1})
            assert RunFolder.read(tmp_path).done
        finally:
            writer.kill()
            writer.communicate()
        with (
            RunFolder.open(tmp_path, {"c": 1}),
            pytest.raises(StoreError, match="this process has it open already"),
        ):
            RunFolder.open(tmp_path, {"c": 1})
        RunFolder.open(tmp_path, {"c": 1}).close()

    def test_a_forked_worker_does_not_keep_a_killed_run_locked(self, tmp_path: Path) -> None:
        writer = start_writer(tmp_path, "fork")
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.kill()
            writer.wait()
            RunFolder.open(tmp_path, {"c": 1}).close()
        finally:
            os.killpg(writer.pid, signal.SIGKILL)
            writer.communicate()
