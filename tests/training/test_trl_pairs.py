"""Pairs of real trees in TRL's DPOTrainer and RewardTrainer."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl")

from datasets import Dataset
from tiny_models import byte_tokenizer
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from rstar_fast.config import SearchConfig
from rstar_fast.data import PairGroup, all_pair_groups, flat_pair_rows
from rstar_fast.embedded import policy_path
from rstar_fast.errors import TrainError
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import TransformersPolicy
from rstar_fast.policy.loading import load
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.ppm.base import ScoreRequest
from rstar_fast.problems import read_problems
from rstar_fast.search import Searcher
from rstar_fast.steps import Segment
from rstar_fast.training.observation_mask import ObservationMask
from rstar_fast.training.reward_rows import reward_rows
from rstar_fast.tree import Tree

QUIET: dict[str, Any] = {
    "max_steps": 3,
    "per_device_train_batch_size": 4,
    "use_cpu": True,
    "report_to": "none",
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def groups() -> list[PairGroup]:
    torch.set_num_threads(1)
    config = SearchConfig(
        candidates=4,
        rollouts=16,
        max_depth=12,
        temperature=1.0,
        use_scores=False,
        annotate_terminals_with_ground_truth=True,
    )
    model = load(policy_path(), torch.float32, torch.device("cpu"))
    policy = TransformersPolicy(model, load_tokenizer(policy_path()))
    with Searcher(policy, config) as searcher:
        trees = [
            one for one in searcher.search(read_problems("graded:train:2")) if isinstance(one, Tree)
        ]
    return all_pair_groups(trees)


def test_dpo_counts_what_the_policy_wrote_and_nothing_else(
    tmp_path: Path, groups: list[PairGroup]
) -> None:
    tokenizer = load_tokenizer(policy_path())
    rows = flat_pair_rows(groups)
    whole = {(one.problem.question, "".join(side)) for one in groups for side in one.chosen}
    assert rows and all(
        any(question in row["prompt"] for question, text in whole if text == row["chosen"])
        for row in rows
    )
    assert any("<output>" in row["chosen"] for row in rows)
    model = load(policy_path(), torch.float32, torch.device("cpu"))
    before = {name: one.clone() for name, one in model.state_dict().items()}
    arguments = DPOConfig(output_dir=str(tmp_path), learning_rate=1e-4, **QUIET)
    trainer = DPOTrainer(
        model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=ObservationMask(tokenizer, arguments),
    )
    prepared = trainer.train_dataset
    batch = trainer.data_collator([prepared[0], prepared[1]])
    for place, row in enumerate([rows[0]["chosen"], rows[1]["chosen"]]):
        counted = batch["input_ids"][place][batch["completion_mask"][place] == 1]
        written = "".join(part.split("<end_of_output>")[-1] for part in row.split("\n<output>"))
        assert tokenizer.decode(counted) == written + tokenizer.eos_token
    trainer.train()
    assert sum("loss" in entry for entry in trainer.state.log_history) == 3
    assert any(bool((one != before[name]).any()) for name, one in model.state_dict().items())


def test_a_sequence_that_begins_in_an_observation() -> None:
    tokenizer = load_tokenizer(policy_path())
    arguments = DPOConfig(
        output_dir="unused", use_cpu=True, max_length=6, truncation_mode="keep_end"
    )
    ids = tokenizer("14\n<end_of_output><answer>4", add_special_tokens=False).input_ids
    row = {"prompt_ids": [9] * 8, "chosen_ids": ids, "rejected_ids": ids}
    batch = ObservationMask(tokenizer, arguments)([row])
    assert len(ids) == 5
    assert batch["completion_mask"].tolist() == [[0, 0, 0, 0, 1, 1]] * 2
    with pytest.raises(TrainError, match="with '<output>' as one token, got 8"):
        ObservationMask(byte_tokenizer(), arguments)


def test_a_reward_model_is_a_ppm(tmp_path: Path, groups: list[PairGroup]) -> None:
    ppm = PPM.from_policy(policy_path(), "cpu", "float32")
    rows = reward_rows(groups, ppm)
    assert len(rows) == sum(len(group.pairs) for group in groups)
    longest = max(len(row[side]) for row in rows for side in ("chosen_ids", "rejected_ids"))
    assert 0 < len(reward_rows(groups, ppm, longest - 1)) < len(rows)
    arguments = RewardConfig(output_dir=str(tmp_path), learning_rate=1e-3, bf16=False, **QUIET)
    trainer = RewardTrainer(
        ppm.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=ppm.tokenizer,
    )
    # No end of a text is appended, so the value is read where a PPM reads it.
    assert trainer.train_dataset[0]["chosen_ids"] == rows[0]["chosen_ids"]
    assert {len(row["chosen_ids"]) for row in rows} == {
        len(row["chosen_ids"]) for row in trainer.train_dataset
    }
    trainer.train()
    ppm.model.save_pretrained(tmp_path / "ppm")
    ppm.tokenizer.save_pretrained(tmp_path / "ppm")

    (scored, *_), row = [group for group in groups if group.pairs], rows[0]
    trained = PPM.from_pretrained(tmp_path / "ppm", "cpu", "float32")
    i, _ = scored.pairs[0]
    *path, last = (*scored.prefix, *scored.chosen[i])
    request = ScoreRequest(
        0, scored.problem.id, 0, scored.problem.question, tuple(map(Segment, path)), (last,)
    )
    (found,) = PackedScorer(trained).score([request])
    with torch.no_grad():
        value = trained.model(torch.tensor([row["chosen_ids"]])).logits[0, 0]
    assert found.values[0] == pytest.approx(torch.tanh(value).item(), abs=1e-5)
