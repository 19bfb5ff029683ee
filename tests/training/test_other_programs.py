"""Files for other programs: configurations of accelerate, and rows for TRL's own trainers."""

from pathlib import Path

import pytest
from data_trees import GOLDEN
from tiny_models import byte_tokenizer, tiny_model

import rstar_fast.training
from rstar_fast.data import (
    all_pair_groups,
    flat_pair_rows,
    sft_rows,
    write_rows,
)

pytest.importorskip("trl")
CONFIGS = Path(rstar_fast.training.__file__).parent / "accelerate"


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
