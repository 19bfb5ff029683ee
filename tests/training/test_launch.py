"""Training by a command, and the configurations it is launched with on several GPUs."""

import json
from pathlib import Path

import pytest
from evolve_trees import GOLDEN
from tiny_models import byte_tokenizer, tiny_model

import rstar_fast.training
from rstar_fast.data import (
    all_pair_groups,
    flat_pair_rows,
    pair_group_row,
    sft_rows,
    trajectory_rows,
    write_rows,
)
from rstar_fast.errors import ConfigError
from rstar_fast.ppm import PPM
from rstar_fast.training.launch import main

pytest.importorskip("trl")
CONFIGS = Path(rstar_fast.training.__file__).parent / "accelerate"


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
        main([kind, *paths, "--preset", preset, "--set", "epochs=1", "schedule=cosine"])
        report = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert report[examples[0]] == examples[1]
        assert (out / "config.json").is_file()
    assert PPM.from_pretrained(tmp_path / "ppm", device="cpu").scale == 5.0
    with pytest.raises(ConfigError, match="OPTION=VALUE, got 'epochs'"):
        main(["policy", *paths, "--preset", "cpu-policy", "--set", "epochs"])


@pytest.mark.parametrize("name", ["fsdp.yaml", "ddp.yaml"])
def test_accelerate_reads_the_configurations(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import DistributedType

    assert sorted(path.name for path in CONFIGS.iterdir()) == ["ddp.yaml", "fsdp.yaml"]
    config = load_config_from_file(str(CONFIGS / name))
    expected = DistributedType.FSDP if name == "fsdp.yaml" else DistributedType.MULTI_GPU
    assert config.distributed_type == expected
    assert config.num_processes == 8


def test_trl_trains_on_the_files_as_they_are(tmp_path: Path) -> None:
    """By its own trainers, which tokenize and prepare by themselves."""
    import datasets
    import trl
    from transformers import AutoModelForSequenceClassification

    tokenizer = byte_tokenizer()
    model = tiny_model("llama", tokenizer)
    model.save_pretrained(tmp_path / "base")
    write_rows(tmp_path / "sft.jsonl", sft_rows([GOLDEN]))
    write_rows(tmp_path / "pairs.parquet", flat_pair_rows(all_pair_groups([GOLDEN])))
    common = {
        "max_steps": 1,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    judge = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=1)
    judge.config.pad_token_id = tokenizer.pad_token_id = tokenizer.eos_token_id
    for trainer, config, network, kind, file in (
        (trl.SFTTrainer, trl.SFTConfig, model, "json", "sft.jsonl"),
        (trl.RewardTrainer, trl.RewardConfig, judge, "parquet", "pairs.parquet"),
    ):
        rows = datasets.load_dataset(
            kind, data_files=str(tmp_path / file), split="train", cache_dir=str(tmp_path / "cache")
        )
        options = config(
            output_dir=str(tmp_path / "out"),
            per_device_train_batch_size=2,
            max_length=512,
            **common,
        )
        result = trainer(
            model=network, args=options, train_dataset=rows, processing_class=tokenizer
        ).train()
        assert result.global_step == 1
        assert result.training_loss > 0
