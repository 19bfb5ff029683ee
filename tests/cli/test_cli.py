"""The command line: what it prints, writes, refuses and survives."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_cli import scripted_open_searcher

from rstar_fast.cli import main
from rstar_fast.cli.options import presets_table
from rstar_fast.config import PRESETS, SearchConfig
from rstar_fast.embedded import held_out_problems
from rstar_fast.search import engines
from rstar_fast.store import RunFolder

REAL_OPEN_SEARCHER = engines.open_searcher
SCRIPTED = [sys.executable, str(Path(__file__).parents[1] / "support" / "scripted_cli.py")]


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engines, "open_searcher", scripted_open_searcher(0.0))
    monkeypatch.chdir(tmp_path)


def write_problems(
    count: int, questions: dict[int, str] | None = None, name: str = "p.jsonl"
) -> None:
    questions = questions or {}
    rows = [
        {"question": questions.get(i, f"What is 7? ({i})"), "answer": "7"} for i in range(count)
    ]
    Path(name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def search(*more: str) -> list[str]:
    settings = ["--set", "rollouts=2", "candidates=2", "max_active=2"]
    return [
        "search",
        "--problems",
        "p.jsonl",
        "--policy",
        "scripted",
        "--ppm",
        "scripted",
        "--preset",
        "fast",
        "--out",
        "run",
        *settings,
        *more,
    ]


def ids(folder: str = "run") -> list[str]:
    return [tree.problem.id for tree in RunFolder.read(folder).trees()]


def test_search_stores_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(3)
    assert main(search()) == 0
    assert sorted(ids()) == ["p-0", "p-1", "p-2"]
    out = capsys.readouterr().out
    assert "3 searched, 0 failed" in out
    assert "3 of 3 (100.0%)  by any trajectory" in out
    assert "rstar-fast show run" in out
    config = RunFolder.read("run").config
    assert config["problems"] == str(Path("p.jsonl").resolve())
    assert (config["policy"], config["ppm"], config["search"]["candidates"]) == (
        "scripted",
        "scripted",
        2,
    )


def test_the_same_command_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(5)
    assert main(search("--limit", "2")) == 0
    assert main(search()) == 0
    assert "2 of 5 problems done already" in capsys.readouterr().out
    assert sorted(ids()) == [f"p-{i}" for i in range(5)]


def test_a_finished_run_loads_no_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(2)
    main(search())
    monkeypatch.setattr(engines, "open_searcher", None)
    assert main(search()) == 0
    assert "2 searched, 0 failed" in capsys.readouterr().out


def test_failures_are_recorded_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(3, {1: "fail"})
    assert main(search()) == 0
    assert sorted(ids()) == ["p-0", "p-2"]
    (failure,) = RunFolder.read("run").failures()
    assert failure.problem.key == "p-1" and failure.error_type == "PolicyError"
    out = capsys.readouterr().out
    assert "p-1 failed: the policy failed at node 0" in out and "2 searched, 1 failed" in out


def test_all_failed_is_exit_1() -> None:
    write_problems(1, {0: "fail"})
    assert main(search()) == 1


def test_a_broken_engine_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(14, dict.fromkeys(range(3, 14), "broken"))
    assert main(search("--set", "max_active=1")) == 2
    err = capsys.readouterr().err
    assert (
        "the engine broke" in err
        and "3 finished trees in run" in err
        and "rstar-fast search --problems p.jsonl" in err
    )
    assert len(ids()) == 3
    (session,) = RunFolder.read("run").sessions()
    assert (
        session["ended"].startswith("PolicyError: the policy failed on 8 requests in a row")
        and session["trees"] == 3
    )


def test_an_engine_that_fails_on_one_problem_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(4, {1: "broken"})
    assert main(search()) == 0
    assert sorted(ids()) == ["p-0", "p-2", "p-3"]
    assert (
        "p-1 failed: the policy failed twice: PolicyError: the engine broke"
        in capsys.readouterr().out
    )
    assert main(["show", "run"]) == 0
    out = capsys.readouterr().out
    assert "3 searched, 1 failed, done; busy: policy " in out


def test_a_policy_that_cannot_be_loaded_leaves_no_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_problems(1)
    assert main([word if word != "scripted" else "missing" for word in search()]) == 2
    assert capsys.readouterr().err == "rstar-fast: policy 'missing': no such folder\n"
    assert not Path("run").exists()


def test_another_config_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(1)
    main(search())
    assert main(search("--seed", "5")) == 2
    assert "search.seed: 0 -> 5" in capsys.readouterr().err
    assert main(search("--set", "max_active=7")) == 0  # changes no tree


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "candidates=many"], "candidates: expected an integer in 1..1024, got 'many'"),
        (["--set", "candidates=0"], "candidates: expected an integer in 1..1024, got 0"),
        (["--set", "candidate=3"], "unknown option 'candidate' (did you mean 'candidates'?)"),
        (["--set", "use_scores=maybe"], "use_scores: expected true or false, got 'maybe'"),
        (["--set", "c=nan"], "c: expected a number in [0, 1e+06], got nan"),
        (["--set", "search.c=1"], "unknown option 'search'"),
        (
            ["--set", "strategy=dfs"],
            "strategy: expected one of mcts, greedy, beam, best_of_n, got 'dfs'",
        ),
        (["--set", "candidates"], "--set: expected option=value, got 'candidates'"),
        (["--preset", "quick"], "unknown preset 'quick'"),
        (["--preset", "greedy"], "asks no PPM"),
        (["--problems", "none.jsonl"], "none.jsonl: no such file"),
        (["--limit", "0"], "limit: expected at least 1 problem, got 0"),
    ],
)
def test_errors_exit_2_with_a_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_problems(1)
    assert main(search(*words)) == 2
    err = capsys.readouterr().err
    assert err.startswith("rstar-fast: ") and message in err
    assert not Path("run").exists()


def test_a_ppm_is_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(1)
    assert (
        main(
            ["search", "--problems", "p.jsonl", "--policy", "p", "--preset", "fast", "--out", "run"]
        )
        == 2
    )
    err = capsys.readouterr().err
    assert "--ppm" in err and "annotate_terminals_with_ground_truth=true" in err


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(2, {1: "fail"})
    main(search())
    capsys.readouterr()
    assert main(["show", "run"]) == 0
    out = capsys.readouterr().out
    assert "p-0" in out and "p-1: PolicyError" in out and "candidates 2" in out
    assert main(["show", "run", "p-0"]) == 0
    assert "answer 7, correct" in capsys.readouterr().out
    for which in ([], ["best"], ["correct"], ["3"]):
        assert main(["show", "run", "p-0", "--trajectory", *which]) == 0
        assert "<code>\nprint(7)" in capsys.readouterr().out


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(2, {1: "fail"})
    main(search())
    capsys.readouterr()
    assert main(["show", "run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["totals"]["solved"] == told["totals"]["failures"] == 1
    assert told["failures"][0]["id"] == "p-1" and told["failures"][0]["error_type"] == "PolicyError"
    assert told["config"]["policy"] == "scripted" and len(told["sessions"]) == 1
    assert main(["show", "run", "p-0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"][0]["parent"] == -1


@pytest.mark.slow
def test_progress_moves_within_a_problem() -> None:
    write_problems(2)
    process = run_scripted(2.0, search("--set", "rollouts=24", "candidates=3"))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    lines = [line for line in out.splitlines() if line.startswith("problems 0/2 (2 under way, ")]
    assert lines and "rollouts)" in lines[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "p-"], "did you mean 'p-0'? It has 1: p-0"),
        (["run", "p-1"], "problem 'p-1' has no tree: PolicyError"),
        (["run", "p-0", "--trajectory", "99"], "expected best, correct or a node in 1.."),
        (["run", "p-0", "--depth", "0"], "--depth: expected at least 1, got 0"),
        (["run", "--trajectory"], "say which"),
        (["elsewhere"], "elsewhere: expected a run folder"),
    ],
)
def test_show_errors(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(2, {1: "fail"})
    main(search())
    capsys.readouterr()
    assert main(["show", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and not captured.out


def test_help_names_every_preset_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    table = presets_table()
    assert all(f"  {name} " in table for name in PRESETS)
    assert all(f"  {name}=" in table for name in SearchConfig().to_dict())
    with pytest.raises(SystemExit) as exit_:
        main(["search", "--help"])
    assert exit_.value.code == 0 and table in capsys.readouterr().out


def run_scripted(seconds_per_step: float, words: list[str], **more: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*SCRIPTED, str(seconds_per_step), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def wait_for_trees(count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        path = Path("run/trees.jsonl")
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    pytest.fail("no trees came")


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on() -> None:
    write_problems(12)
    process = run_scripted(0.05, search())
    wait_for_trees(3, process)  # a line that is just being written is taken back
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    first = ids()
    assert 2 <= len(first) < 12
    assert f"stopped; {len(first)} finished trees in run" in out
    command = out.strip().splitlines()[-1].split()
    assert command == ["rstar-fast", *search()]

    process = run_scripted(0.0, command[1:])
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert ids()[: len(first)] == first
    assert sorted(ids()) == sorted(f"p-{i}" for i in range(12))


def test_a_killed_run_loses_and_repeats_nothing() -> None:
    write_problems(12)
    for count in (2, 5):
        process = run_scripted(0.05, search())
        wait_for_trees(count, process)
        process.kill()
        process.communicate()
    with Path("run/trees.jsonl").open("ab") as file:
        file.write(b'{"id": "p-11", "torn')
    process = run_scripted(0.0, search())
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert sorted(ids()) == sorted(f"p-{i}" for i in range(12))


def test_piped_output_is_plain_lines() -> None:
    write_problems(2)
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    for words in (
        search(),
        ["show", "run"],
        ["show", "run", "p-0"],
        ["show", "run", "p-0", "--trajectory"],
    ):
        process = run_scripted(0.0, words, env=environment)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert out and not any(ord(char) < 32 and char != "\n" for char in out)


def test_a_terminal_gets_a_live_display() -> None:
    write_problems(4)
    main_fd, terminal_fd = pty.openpty()
    process = subprocess.Popen(
        [*SCRIPTED, "0.1", *search()],
        stdout=terminal_fd,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(terminal_fd)
    shown = b""
    try:
        while data := os.read(main_fd, 65536):
            shown += data
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(main_fd)
    assert process.wait(timeout=300) == 0
    text = shown.decode()
    assert "\x1b[" in text and "━" in text and "4/4, solved 4, failed 0" in text


def test_a_closed_pipe_is_no_traceback() -> None:
    write_problems(2)
    main(search())
    command = " ".join([*SCRIPTED, "0", "show", "run"]) + " | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=300
    )
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_python_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rstar_fast", "--version"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout.startswith("rstar-fast ")


def test_the_embedded_model_searches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "open_searcher", REAL_OPEN_SEARCHER)
    rows = [
        {"id": p.id, "question": p.question, "answer": list(p.answers)}
        for p in held_out_problems(2)
    ]
    Path("p.json").write_text(json.dumps(rows), encoding="utf-8")
    limits = ["max_depth=8", "max_step_tokens=40", "rollouts=2", "candidates=4"]
    embedded = ["--policy", "embedded", "--ppm", "embedded", "--dtype", "float32", "--workers", "1"]
    assert (
        main(
            [
                "search",
                "--problems",
                "p.json",
                *embedded,
                "--preset",
                "fast",
                "--set",
                *limits,
                "--out",
                "run",
            ]
        )
        == 0
    )
    trees = list(RunFolder.read("run").trees())
    assert sorted(tree.problem.id for tree in trees) == sorted(row["id"] for row in rows)
    assert all(
        node.observation
        for tree in trees
        for node in tree.nodes
        if "<end_of_code>" in node.step and node.status == "ok"
    )
    assert any(node.score is not None for tree in trees for node in tree.nodes)


def test_wrong_dtypes_and_devices_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "open_searcher", REAL_OPEN_SEARCHER)
    write_problems(1)
    assert main(search("--dtype", "int8")) == 2
    assert "dtype int8: expected float32, bfloat16 or float16" in capsys.readouterr().err
    assert main(search("--device", "gpu")) == 2
    assert "device gpu: expected cpu, cuda, cuda:N" in capsys.readouterr().err
    assert main(search("--device", "cuda:99")) == 2
    err = capsys.readouterr().err
    assert err.startswith("rstar-fast: device cuda:99: ") and err.count("\n") == 1


def test_demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "open_searcher", REAL_OPEN_SEARCHER)
    assert main(["demo", "--problems", "4", "--json", "demo.json"]) == 0
    record = json.loads(Path("demo.json").read_text(encoding="utf-8"))
    names = {"base_accuracy", "policy_accuracy", "search_accuracy"}
    assert record.keys() == {*names, "problems"} and record["problems"] == 4
    assert all(0.0 <= record[name] <= 1.0 for name in names)
    out = capsys.readouterr().out
    assert "generated\nword problem" in out and "base, greedy" in out and "95% interval" in out
    assert (
        "<code>" in out and "Q mean value" in out
    ) or "search got no problem right that greedy got wrong" in out
