"""The file of `rstar-fast search --config`."""

import json
from pathlib import Path
from typing import Any

import pytest

from rstar_fast.cli import main
from rstar_fast.search import engines
from rstar_fast.store import RunFolder

FILE = """
problems = "p.jsonl"
policy = "scripted"
ppm = "scripted"
preset = "fast"
limit = 2
[search]
rollouts = 2
candidates = 3
"""


@pytest.fixture(autouse=True)
def configs(scripted: None, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    rows = [json.dumps({"question": f"What is 7? ({i})", "answer": "7"}) for i in range(4)]
    (tmp_path / "configs" / "p.jsonl").write_text("\n".join(rows))
    (tmp_path / "configs" / "search.toml").write_text(FILE)


def search(*words: str) -> int:
    return main(["search", "--config", "configs/search.toml", *words])


def test_the_command_line_wins_over_the_file() -> None:
    assert search("--out", "run", "--limit", "3", "--set", "candidates=2", "--seed", "4") == 0
    with RunFolder.read("run") as run:
        assert len(run.done) == 3
        options = run.config["search"]
        assert (options["candidates"], options["rollouts"], options["seed"]) == (2, 2, 4)
        assert run.config["problems"] == str(Path("configs/p.jsonl").resolve())


def test_what_neither_says_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert search() == 2
    assert "--out is needed (or `out` in the file of --config)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("problem = 'x'", "unknown option 'problem' (did you mean 'problems'?)"),
        ("policy = 3", "policy: expected a string, got 3"),
        ("limit = '3'", "limit: expected an integer, got '3'"),
        ("unconfined = 1", "unconfined: expected true or false, got 1"),
        ("workers = true", "workers: expected an integer, got True"),
        ("ppm_memory = true", "ppm_memory: expected a number, got True"),
        ("search = 1", "search: expected a table, got 1"),
        ("policy = ", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("configs/search.toml").write_text(line)
    assert search("--out", "run") == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_missing_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--config", "none.toml"]) == 2
    assert "--config none.toml: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words", "required"),
    [
        ("", (), True),
        ("", ("--unconfined",), False),
        ("unconfined = true", (), False),
        ("unconfined = false", (), True),
    ],
)
def test_isolation_is_required_unless_told_otherwise(
    line: str, words: tuple[str, ...], required: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    open_searcher = engines.open_searcher

    def noting(*arguments: Any, **options: Any) -> Any:
        asked.append(options["require_isolation"])
        return open_searcher(*arguments, **options)

    monkeypatch.setattr(engines, "open_searcher", noting)
    Path("configs/search.toml").write_text(line + FILE)
    assert search("--out", "run", *words) == 0
    assert asked == [required]


def test_a_folder_behind_the_name_of_an_engine_is_beside_the_file_too() -> None:
    Path("configs/policy").mkdir()
    text = FILE.replace('"scripted"', '"vllm:policy"', 1)
    Path("configs/search.toml").write_text(text)
    assert search("--out", "run") == 0
    with RunFolder.read("run") as run:
        assert run.config["policy"] == f"vllm:{Path('configs/policy').resolve()}"
