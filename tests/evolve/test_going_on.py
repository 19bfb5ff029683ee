"""Runs that were killed, that met a full disk, or that an older version began: they go on."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evolve_options import do_all, options, options_of

from rstar_fast.errors import StoreError
from rstar_fast.evolve import EvolveConfig, evolve, manifest, process
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.plan import plan
from rstar_fast.store import RunFolder
from rstar_fast.store.config_file import read_config, write_config


def plain_trees(run: Path) -> dict[str, Any]:
    """Return trees without log-probabilities, whose last bits depend on the rest of the batch."""
    with RunFolder.read(run) as folder:
        return {
            tree.problem.key: [replace(node, logprob_bytes=b"") for node in tree.nodes]
            for tree in folder.trees()
        }


def test_what_is_finished_is_not_done_again_and_other_options_are_refused(finished: Path) -> None:
    opened, run = options(finished), finished / "run"
    config = read_config(run)
    try:
        (run / "config.json").unlink()
        events = list(evolve(opened, run, unconfined=True))
        assert {event.kind for event in events} == {"done"} and len(events) == len(
            plan(EvolveConfig.from_dict(opened))
        )
        with pytest.raises(StoreError, match=r"options.seed: \(not set\) -> 3"):
            list(evolve({**opened, "seed": 3}, run, unconfined=True))
        (finished / "train.jsonl").write_text((finished / "train.jsonl").read_text() + "\n")
        with pytest.raises(StoreError, match=r"files.problems"):
            list(evolve(opened, run, unconfined=True))
    finally:
        write_config(run, config)
        options(finished)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["round-1/search-0/part-0", "round-1/policy", "round-1/ppm"])
def test_a_killed_stage_ends_as_an_unbroken_one(
    finished: Path, tmp_path: Path, killed: str
) -> None:
    run = tmp_path / "run"
    do_all(run, options_of(finished / "run"), upto=killed)
    command = [
        sys.executable,
        "-m",
        "rstar_fast.evolve.process",
        str(run),
        killed,
        "--device",
        "cpu",
        "--workers",
        "1",
    ]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    begun = [
        run / killed / "trees.jsonl",
        (run / killed).with_name(Path(killed).name + ".unfinished"),
    ]
    while not any(path.exists() and (path.is_dir() or path.stat().st_size) for path in begun):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert read_manifest(run / killed) is None
    process.do(run, killed, "cpu", 1, unconfined=True)
    if "search" in killed:
        assert plain_trees(run / killed) == plain_trees(finished / "run" / killed)
    else:
        weights = [
            (folder / killed / "model.safetensors").read_bytes()
            for folder in (run, finished / "run")
        ]
        assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_full_disk_is_told_and_gone_on_from(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    do_all(run, options_of(finished / "run"), upto="round-1/data")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write_json", full)
        with pytest.raises(StoreError, match="No space left on device"):
            process.do(run, "round-1/data", "cpu", 1, unconfined=True)
    assert read_manifest(run / "round-1/data") is None
    process.do(run, "round-1/data", "cpu", 1, unconfined=True)
    mine, theirs = (
        json.loads((folder / "round-1/data/manifest.json").read_text())["metrics"]
        for folder in (run, finished / "run")
    )
    assert mine == theirs


def test_copies_of_problems_in_older_folders_are_read(finished: Path, tmp_path: Path) -> None:
    """Versions before typed stages wrote a copy's number as the end of the id, and nowhere else."""
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    stages = ("round-1/greedy", "round-1/samples", "round-1/searches")
    for name in stages:
        rows = [json.loads(line) for line in (run / name / "trees.jsonl").read_text().splitlines()]
        assert all(row["id"].endswith(f"#{row.pop('copy')}") for row in rows)
        assert all(row.pop("checksum") for row in rows)
        (run / name / "trees.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in (*stages, "round-1/results"):
        (run / name / "manifest.json").unlink()
        process.do(run, name, "cpu", 1, unconfined=True)
        mine, theirs = (read_manifest(folder / name) for folder in (run, finished / "run"))
        assert mine and theirs and mine["metrics"] == theirs["metrics"]
