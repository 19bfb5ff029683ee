"""The tuner of the tree attention kernels takes the fastest configuration and writes the table."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="the package triton is not installed")

from lib import tune

from rstar_fast.kernels.tree_attention.configs import KERNELS, TABLE, Config, table

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="the interpreter is off: it needs TRITON_INTERPRET=1 and a process of its own",
)

FASTER = Config(16, 32, 4, 1)
"""A configuration that the committed table does not have."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A table of the test's own, and a tuner of one form with one candidate for each kernel."""
    before = dict(table())
    monkeypatch.setattr(tune, "TABLE", tmp_path / "configs.json")
    monkeypatch.setattr(tune, "ProcessPoolExecutor", lambda count, context: ThreadPoolExecutor(1))
    monkeypatch.setattr(tune, "FORMS", ((64, 4),))
    for name in ("REPEATS", "FINALISTS", "KV_HEADS"):
        monkeypatch.setattr(tune, name, 1)
    monkeypatch.setattr(tune, "candidates", lambda *key: [FASTER])
    yield tmp_path / "configs.json"
    table().clear()
    table().update(before)


def seconds(monkeypatch: pytest.MonkeyPatch, faster: float) -> None:
    """Let `FASTER` take the given time, and all others a second. The kernels run all the same."""
    real = tune._seconds

    def told(layout: Any, inputs: Any, key: tune.Key, config: Config) -> list[float]:
        assert len(real(layout, inputs, key, config)) == 1
        return [faster if config == FASTER else 1.0]

    monkeypatch.setattr(tune, "_seconds", told)


def test_what_is_faster_is_written(monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    seconds(monkeypatch, 0.5)
    committed = json.loads(TABLE.read_text())
    changed = tune.tune(20)
    assert changed == [[kernel, "sm_80", 64, 4, 16, 32, 4, 1] for kernel in KERNELS]
    rows = json.loads(written.read_text())
    assert [row[:4] for row in rows] == [row[:4] for row in committed]
    assert [row for row in rows if row not in committed] == changed


def test_what_is_within_the_noise_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, written: Path
) -> None:
    seconds(monkeypatch, 0.99)
    assert tune.tune(20) == [] and not written.exists()


def test_nothing_begins_after_the_deadline(monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    seconds(monkeypatch, 0.5)
    assert tune.tune(20, budget_s=0.0) == [] and not written.exists()
