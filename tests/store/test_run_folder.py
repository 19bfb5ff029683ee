"""Run folders: what is written comes back, nothing is lost, nothing is there twice."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rstar_fast.errors import StoreError
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder, record_to_tree, tree_to_record
from rstar_fast.store.records import encode_line
from rstar_fast.tree import Node, Tree

CONFIG = {"search": {"c": 2.0, "seed": 0}, "policy": "tiny", "marks": ["a", "b"]}


def make_tree(
    problem_id: str = "p", question: str = "How many?", step: str = "<code>\nx = 1<end_of_step>"
) -> Tree:
    nodes = [
        Node(0, -1, 0, q=1 / 3, visits=3),
        Node(1, 0, 1, step, q=-0.1 - 0.2, visits=2, observation="", status="ok", score=0.1),
        Node(
            2,
            0,
            1,
            "é\u2028\\boxed{7}\0",
            "\n<output>\ttext<end_of_output>",
            finish="eos",
            exact=False,
            end="answer",
            answer="7",
        ),
        Node(
            3,
            1,
            2,
            end="errors",
            consecutive_errors=2,
            correct=False,
            exhausted=True,
            observation="NameError: é",
            status="error",
        ),
    ]
    nodes[1].token_ids, nodes[1].logprobs = (5, 6), (-0.123456789, -2.0)
    return Tree(
        Problem(problem_id, question, ("7", "seven")),
        nodes,
        2**63 - 1,
        {"policy": 0.1},
        {"expansions": 2},
    )


def lines(path: Path) -> list[str]:
    return (path / "trees.jsonl").read_text().split("\n")[:-1]


class TestRecords:
    def test_round_trip(self) -> None:
        tree = make_tree()
        back = record_to_tree(json.loads(encode_line(tree_to_record(tree))))
        tree.nodes[1].logprobs = (-0.12346, -2.0)
        assert back == tree
        assert back.nodes[1].token_ids == (5, 6) and back.nodes[1].logprobs == pytest.approx(
            (-0.12346, -2.0), abs=1e-8
        )
        assert tree_to_record(back) == tree_to_record(tree)
        assert back.nodes[1].q.hex() == tree.nodes[1].q.hex()

    def test_all_nodes_have_the_same_keys(self) -> None:
        assert len({tuple(node) for node in tree_to_record(make_tree())["nodes"]}) == 1

    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        line = encode_line(tree_to_record(make_tree(step="a\ud800b😀")))
        assert record_to_tree(json.loads(line.decode("utf-8"))).nodes[1].step == "a\ufffdb😀"

    @pytest.mark.parametrize(
        ("field", "value"),
        [("q", float("nan")), ("score", float("inf")), ("logprobs", (-1.0, float("nan")))],
    )
    def test_numbers_json_has_no_form_for(self, field: str, value: object) -> None:
        tree = make_tree()
        setattr(tree.nodes[2], field, value)
        with pytest.raises(StoreError, match=f"'p': node 2: {field}: expected finite"):
            tree_to_record(tree)

    def test_a_record_written_before_tokens_were_kept_as_bytes_is_read(self) -> None:
        node = (
            '{"id":%d,"parent":%d,"depth":0,"step":"","suffix":"","token_ids":%s,"logprobs":%s,"exact":true,"finish":"mark",'
            '"observation":null,"status":"","consecutive_errors":0,"end":"","answer":"","correct":null,"score":null,"q":0.0,'
            '"visits":0,"exhausted":false}'
        )
        nodes = ",".join(
            [
                node % (0, -1, [], []),
                node % (1, 0, [7, 2**31 - 1], [-0.5, -3.25]),
                node % (2, 0, [7], []),
            ]
        )
        line = '{"format":1,"id":"p","question":"q","answers":[],"seed":0,"solved":false,"timings":[],"counts":[],'
        line += f'"nodes":[{nodes}]}}'
        record = json.loads(line)
        _, both, ids = record_to_tree(record).nodes
        assert (both.token_ids, both.logprobs) == ((7, 2**31 - 1), (-0.5, -3.25))
        assert (ids.token_ids, ids.logprobs) == ((7,), ())
        assert record == json.loads(line) == tree_to_record(record_to_tree(record))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"format": 9}, "expected format 1, got 9"),
            ({"nodes": [{"id": 0}]}, "KeyError"),
            ({"nodes": None}, "TypeError"),
            (
                {"nodes": [{**tree_to_record(make_tree())["nodes"][0], "token_ids": [2**31]}]},
                "OverflowError",
            ),
            (
                {"nodes": [{**tree_to_record(make_tree())["nodes"][0], "token_ids": ["a"]}]},
                "TypeError",
            ),
            ({"nodes": [tree_to_record(make_tree())["nodes"][1]]}, "node 0 has id 1"),
            ({"timings": [{}]}, "KeyError"),
        ],
    )
    def test_other_records_are_refused(self, change: dict[str, object], says: str) -> None:
        with pytest.raises(StoreError, match=says):
            record_to_tree({**tree_to_record(make_tree()), **change})

    def test_pyarrow_reads_the_file(self, tmp_path: Path) -> None:
        arrow_json = pytest.importorskip("pyarrow.json")
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(Tree(Problem("no answer", "q"), [Node(0, -1, 0)]))
            run.append(make_tree())
        table = arrow_json.read_json(tmp_path / "trees.jsonl")
        assert table["id"].to_pylist() == ["no answer", "p"]
        assert table["nodes"].to_pylist()[1][1]["score"] == 0.1


class TestRunFolder:
    def test_write_read_resume(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "run"
        with RunFolder.open(path, CONFIG) as run:
            assert run.done == set()
            run.append(make_tree("a"))
            run.append(make_tree("ü∑"))
            with pytest.raises(StoreError, match="'a' has a tree already"):
                run.append(make_tree("a"))
        with RunFolder.open(path, CONFIG) as run:
            assert run.done == {"a", "ü∑"}
            run.append(make_tree("c"))
        assert [tree.problem.id for tree in RunFolder.read(path).trees()] == ["a", "ü∑", "c"]
        assert RunFolder.read(path).config == CONFIG

    def test_failures_are_kept_until_the_problem_is_done(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.fail(Problem("a", "q"), "first")
            run.fail(Problem("a", "q"), ValueError("bad input"))
            run.fail(Problem("b", "q"), "gone")
            assert run.done == set()
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(make_tree("b"))
            (failure,) = run.failures()
        assert (failure.problem_id, failure.reason, failure.error_type) == (
            "a",
            "bad input",
            "ValueError",
        )
        assert failure.time.endswith("+00:00")

    @pytest.mark.parametrize(
        "torn",
        [
            b'{"format":1,"id":"c"',
            b"\0" * 50,
            b'{"format":1,"id":"c"}',
            b'{"format":1\n',
            b"\xff\n",
        ],
    )
    def test_a_torn_last_line_is_dropped(self, tmp_path: Path, torn: bytes) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(make_tree("a"))
            run.fail(Problem("b", "q"), "reason")
        for name in ("trees.jsonl", "failures.jsonl"):
            with (tmp_path / name).open("ab") as file:
                file.write(torn)
        assert [tree.problem.id for tree in RunFolder.read(tmp_path).trees()] == ["a"]
        with RunFolder.open(tmp_path, CONFIG) as run:
            assert run.done == {"a"}
            assert [failure.problem_id for failure in run.failures()] == ["b"]
            run.append(make_tree("c"))
        assert [json.loads(line)["id"] for line in lines(tmp_path)] == ["a", "c"]

    def test_damage_in_the_middle_is_an_error(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            for name in "abc":
                run.append(make_tree(name))
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
        assert (
            '  search.c: 2.0 -> 1.0\n  policy: "tiny" -> (not set)\n  search.depth: (not set) -> 4\n'
            in message
        )
        assert "marks" not in message and "seed" not in message
        RunFolder.open(tmp_path, {**CONFIG, "marks": ("a", "b")}).close()
        with pytest.raises(StoreError, match="expected JSON values"):
            RunFolder.open(tmp_path, {"c": float("nan")})

    def test_check_refuses_another_question(self, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.append(make_tree("a", "How many?"))
        with RunFolder.open(tmp_path, CONFIG) as run:
            run.check([Problem("a", "How many?"), Problem("b", "new")])
            with pytest.raises(
                StoreError,
                match=r"'a' was searched with another question: 'How many\?' -> 'How much\?'",
            ):
                run.check([Problem("a", "How much?")])

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
            run.append(make_tree("a"))
            reader = RunFolder.read(tmp_path)
            with pytest.raises(StoreError, match="not open for writing"):
                reader.append(make_tree("b"))
            with pytest.raises(StoreError, match="not open for writing"):
                reader.fail(Problem("b", "q"), "reason")


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
            run.append(make_tree("a"))
            before = (tmp_path / "trees.jsonl").read_bytes()
            with monkeypatch.context() as patch:
                patch.setattr(os, where, half_a_line if where == "write" else refuse)
                with pytest.raises(
                    StoreError,
                    match=r"could not write the tree of problem 'b' \(\d+ bytes\): No space left",
                ):
                    run.append(make_tree("b"))
            assert (tmp_path / "trees.jsonl").read_bytes() == before
            assert run.done == {"a"}
            run.append(make_tree("b"))
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
                    run.append(make_tree("a"))
            run.append(make_tree("b"))
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
    tree = Tree(Problem(str(number), "q"), [Node(0, -1, 0), *(Node(i, 0, 1, "x" * 200) for i in range(1, 500))])
    run.append(tree)
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
