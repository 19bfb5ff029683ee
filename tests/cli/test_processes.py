"""The command line as a process of its own: signals, pipes and terminals."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import scripted_cli
from scripted_cli import ids, search, write_problems

from rstar_fast.cli import main

pytestmark = pytest.mark.usefixtures("scripted")
SCRIPTED = [sys.executable, scripted_cli.__file__]


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


@pytest.mark.slow
def test_progress_moves_within_a_problem() -> None:
    write_problems(2)
    process = run_scripted(2.0, search("--set", "rollouts=24", "candidates=3"))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    lines = [line for line in out.splitlines() if line.startswith("problems 0/2 (2 under way, ")]
    assert lines and "rollouts)" in lines[0]


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
