"""The schedule: which stage starts when, and what a failure does."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from evolve_options import options

from rstar_fast.errors import StageError
from rstar_fast.evolve import evolve
from rstar_fast.evolve.schedule import log_of, schedule
from rstar_fast.evolve.stage import Stage


@dataclass(frozen=True, slots=True)
class Plain(Stage):
    """A stage that does nothing but need others."""

    kind: ClassVar[str] = "plain"

    needs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {}


def scheduled(
    run: Path, stages: list[Plain], processes: int, failing: str = ""
) -> list[tuple[str, str]]:
    """Stages whose processes only write a manifest, or fail."""
    (run / "logs").mkdir(parents=True, exist_ok=True)

    def start(each: Stage) -> "subprocess.Popen[bytes]":
        (run / each.name).mkdir(exist_ok=True)
        code = (
            f"open({str(run / each.name / 'manifest.json')!r}, 'w').write('{{\"metrics\": {{}}}}')"
        )
        if each.name == failing:
            code = "import sys; sys.exit('it was in the way')"
        with log_of(run, each).open("wb") as log:
            return subprocess.Popen([sys.executable, "-c", code], stderr=log)

    events = []
    try:
        for event in schedule(stages, run, processes, start):
            events.append((event.kind, event.stage.name))
    except StageError as error:
        assert failing in str(error) and "it was in the way" in str(error)
    return events


def test_a_stage_starts_as_soon_as_what_it_needs_is_done(tmp_path: Path) -> None:
    stages = [
        Plain("a"),
        Plain("b", needs=("a",)),
        Plain("c"),
        Plain("d", needs=("b", "c")),
    ]
    events = scheduled(tmp_path, stages, processes=2)
    assert set(events[:2]) == {("started", "a"), ("started", "c")}
    assert events.index(("started", "b")) > events.index(("done", "a"))
    assert events.index(("started", "d")) > max(
        events.index(("done", "b")), events.index(("done", "c"))
    )
    assert scheduled(tmp_path, stages, processes=2) == [("done", name) for name in "abcd"]


def test_a_failed_stage_stops_the_run_which_then_goes_on(tmp_path: Path) -> None:
    stages = [Plain("a"), Plain("b"), Plain("c", needs=("a",))]
    events = scheduled(tmp_path, stages, processes=1, failing="b")
    assert events == [("started", "a"), ("done", "a"), ("started", "b"), ("failed", "b")]
    assert scheduled(tmp_path, stages, processes=1)[-1] == ("done", "c")


def test_a_stage_executes_no_file_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("tomllib", "json", "argparse", "dataclasses"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').close()\n")
    monkeypatch.chdir(here)
    opened = options(tmp_path, base=str(tmp_path / "missing"))
    with pytest.raises(StageError, match="missing"):
        list(evolve(opened, tmp_path / "run", device="cpu", workers=1))
    assert not (tmp_path / "executed").exists()
