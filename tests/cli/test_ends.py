"""Wrong words, closed streams and interruptions end with one line, never with a traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rstar_fast.cli import main

PROGRAM = [sys.executable, "-m", "rstar_fast"]
LONG = "x" * 300


def one_line(text: str) -> bool:
    return text.startswith("rstar-fast: ") and text.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serach"], "unknown command 'serach'; did you mean 'search'?"),
        (["shwo", "run"], "did you mean 'show'?"),
        (["xyz"], "commands: search, show, evolve, train, sandbox, demo, doctor"),
        (["show", LONG], "File name too long"),
        (["search", "--config", LONG], "cannot be read"),
        (["evolve", "--config", LONG, "--out", "run"], "cannot be read"),
    ],
)
def test_wrong_words_end_with_one_line(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert one_line(err) and message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["problems", "policy", "ppm", "out"])
def test_a_name_of_300_bytes_ends_with_one_line(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.jsonl").write_text(json.dumps({"question": "?", "answer": "1"}))
    given = {"problems": "p.jsonl", "policy": "embedded", "ppm": "embedded", "out": "run"}
    words = [word for key, value in {**given, name: LONG}.items() for word in (f"--{key}", value)]
    assert main(["search", *words, "--preset", "fast"]) == 2
    err = capsys.readouterr().err
    assert one_line(err)


def test_verbose_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "/nowhere", "-v"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("rstar-fast: ")


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_is_no_traceback(stream: int, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(PROGRAM)} doctor {stream}>&-"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode in (0, 2) and not done.stderr


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = f"{' '.join(PROGRAM)} doctor > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and one_line(done.stderr), done.stderr


def test_ctrl_c_during_imports_is_one_line(tmp_path: Path) -> None:
    """A library that takes long to load stands in for torch."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text(
        "import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [*PROGRAM, "doctor"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "loading").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (130, "", "rstar-fast: stopped\n")


def test_doctor_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (2 if told["missing"] else 0)
    assert "seccomp" in told["means"] and isinstance(told["native"], bool)
    assert main(["doctor", "--json", "--strict"]) == (2 if told["weaker"] else 0)
