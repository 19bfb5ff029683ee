"""The summary and the report of a self-evolution."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.metrics import Method, PairOrder
from rstar_fast.evolve.report import METHOD_NAMES, PAIR_NAMES, write_report
from rstar_fast.evolve.summary import groups, summarize


def test_summary_and_report_need_no_torch() -> None:
    program = "import sys, rstar_fast.evolve.summary, rstar_fast.evolve.report; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "rstar_fast.evolve.report" in loaded
    assert not {"torch", "transformers", "matplotlib"} & set(loaded)


def test_every_id_has_a_name_for_people() -> None:
    assert [*METHOD_NAMES] == [*Method] and [*PAIR_NAMES] == [*PairOrder]
    assert len(set(METHOD_NAMES.values())) == len(Method)


def test_the_report_holds_every_figure(finished: Path) -> None:
    files = write_report(finished / "run")
    page = files[-1].read_text()
    assert [file.suffix for file in files] == [".png", ".png", ".png", ".html"]
    assert page.count("data:image/png") == 3
    assert all(name in page for name in METHOD_NAMES.values())
    found = groups(summarize(finished / "run"))
    assert found == ["level-0/held_out", "level-1/held_out"]
    assert all(f"<td>{group}</td>" in page for group in found)


def test_the_report_compares_search_and_majority_in_a_sentence(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    one = summarize(run)[1]
    assert one.comparison and one.comparison.problems == 3
    sentence = one.comparison.sentence("search", "majority at equal tokens")
    assert f"round 1: {sentence}" in write_report(run)[-1].read_text()

    # Manifests of older versions have the short text only.
    path = run / "round-1/results/manifest.json"
    manifest = read_manifest(path.parent)
    assert manifest
    assert manifest["metrics"]["search_against_majority"] == str(one.comparison)
    del manifest["metrics"]["search_against_majority_figures"]
    path.write_text(json.dumps(manifest))
    assert summarize(run)[1].comparison is None
    page = write_report(run)[-1].read_text()
    assert f"round 1: search against majority at equal tokens: {one.comparison}" in page
