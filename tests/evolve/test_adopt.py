"""Taking the models of a self-evolution into the package."""

import json
import shutil
from pathlib import Path

import pytest
from evolve_options import do_all, options
from safetensors.torch import load_file
from transformers import AutoTokenizer

from recipes.embedded.adopt import adopt, options_digest
from rstar_fast.embedded import base_path
from rstar_fast.errors import ConfigError
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.ppm import PPM
from rstar_fast.store.config_file import write_config


@pytest.mark.slow
def test_the_package_takes_the_models_of_the_last_finished_round(
    finished: Path, tmp_path: Path
) -> None:
    run, opened = finished / "run", options(finished)
    told = adopt(run, tmp_path)
    for name, source in (
        ("base", base_path()),
        ("policy", run / "round-1/policy"),
        ("ppm", run / "round-1/ppm"),
    ):
        was, taken = (
            load_file(folder / "model.safetensors") for folder in (source, tmp_path / name)
        )
        assert was.keys() == taken.keys() and all(taken[key].equal(was[key].half()) for key in was)
        assert (tmp_path / name / "tokenizer.json").read_bytes() == (
            base_path() / "tokenizer.json"
        ).read_bytes()
    assert (
        PPM.from_pretrained(tmp_path / "ppm").scale
        == PPM.from_pretrained(run / "round-1/ppm").scale
    )
    assert told == json.loads((tmp_path / "origin.json").read_text())
    assert (told["round"], told["seed"]) == (1, 0)
    assert told["config_sha256"] == options_digest({**opened, "base": "elsewhere", "seed": 5})
    assert told["config_sha256"] != options_digest({**opened, "parts": 3})
    measured = read_manifest(run / "round-1/results")
    assert (
        measured
        and told["held_out"]["round 1"]["policy"] == measured["metrics"]["accuracy"]["policy"][:2]
    )
    assert measured["metrics"]["accuracy"].keys() >= {
        "search: weighted vote of the first 1",
        "search: weighted vote",
    }
    again = adopt(run, tmp_path)
    assert again == told


def test_what_the_package_cannot_take(finished: Path, tmp_path: Path) -> None:
    opened = options(finished)
    run = tmp_path / "run"
    do_all(run, opened, upto="round-1/search-0/part-0")
    with pytest.raises(ConfigError, match="expected a run with at least one finished round"):
        adopt(run, tmp_path)
    other = tmp_path / "other"
    shutil.copytree(base_path(), other)
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["another"])
    tokenizer.save_pretrained(other)
    shutil.copytree(finished / "run", tmp_path / "whole")
    write_config(tmp_path / "whole", {"options": {**opened, "base": str(other)}, "files": {}})
    with pytest.raises(
        ConfigError,
        match=r"policy: expected the tokenizer of the base, got one of \d+ tokens",
    ):
        adopt(tmp_path / "whole", tmp_path)
    assert not (tmp_path / "policy").exists()
