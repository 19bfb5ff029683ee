"""The command line of `rstar-fast evolve`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rstar_fast.evolve
from rstar_fast.cli import main


@pytest.mark.parametrize(
    ("line", "words", "unconfined"),
    [
        ("", (), False),
        ("", ("--unconfined",), True),
        ("unconfined = true", (), True),
        ("", ("--set", "unconfined=true"), True),
    ],
)
def test_isolation_is_required_unless_told_otherwise(
    line: str,
    words: tuple[str, ...],
    unconfined: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: list[dict[str, Any]] = []

    def evolve(options: dict[str, Any], run: Path, **how: Any) -> Iterator[None]:
        asked.append({**options, "given": how["unconfined"]})
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(rstar_fast.evolve, "evolve", evolve)
    (tmp_path / "evolve.toml").write_text(f"{line}\nseed = 3\n")
    config = ["--config", str(tmp_path / "evolve.toml"), "--out", str(tmp_path / "run")]
    assert main(["evolve", *config, *words]) == 130
    # It belongs to the machine, and so it is no part of the run's own options.
    assert asked == [{"seed": 3, "given": unconfined}]


def test_a_wrong_value_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evolve.toml").write_text("unconfined = 1\n")
    words = ["--config", str(tmp_path / "evolve.toml"), "--out", str(tmp_path / "run")]
    assert main(["evolve", *words]) == 2
    assert "unconfined: expected true or false, got 1" in capsys.readouterr().err
