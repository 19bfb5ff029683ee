"""The command `rstar-fast train`."""

import json
from pathlib import Path

import pytest
from data_trees import GOLDEN
from tiny_models import byte_tokenizer, tiny_model

from rstar_fast.cli import main
from rstar_fast.data import (
    all_pair_groups,
    pair_group_row,
    sft_rows,
    trajectory_rows,
    write_rows,
)
from rstar_fast.ppm import PPM

pytest.importorskip("trl")


def test_every_kind_of_model_is_trained_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = byte_tokenizer()
    tiny_model("llama", tokenizer).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    write_rows(tmp_path / "sft.parquet", sft_rows([GOLDEN]))
    write_rows(
        tmp_path / "pairs.jsonl", [pair_group_row(group) for group in all_pair_groups([GOLDEN])]
    )
    write_rows(tmp_path / "ends.jsonl", trajectory_rows([GOLDEN]))
    for kind, start, rows, examples in (
        ("policy", "base", "sft.parquet", ("rows", 2)),
        ("ppm", "policy", "pairs.jsonl", ("examples", 9)),
        ("orm", "policy", "ends.jsonl", ("examples", 6)),
    ):
        out = tmp_path / kind
        preset = "cpu-policy" if kind == "policy" else "cpu-ppm"
        paths = [
            "--model",
            str(tmp_path / start),
            "--rows",
            str(tmp_path / rows),
            "--out",
            str(out),
        ]
        assert (
            main(
                ["train", kind, *paths, "--preset", preset, "--set", "epochs=1", "schedule=cosine"]
            )
            == 0
        )
        report = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert report[examples[0]] == examples[1]
        assert (out / "config.json").is_file()
    assert PPM.from_pretrained(tmp_path / "ppm", device="cpu").scale == 5.0
    assert main(["train", "policy", *paths, "--preset", "cpu-policy", "--set", "epochs"]) == 2
    assert "--set: expected option=value, got 'epochs'" in capsys.readouterr().err
