"""Fine-tuning of tiny policies."""

from pathlib import Path
from typing import Any

import pytest
import torch
from data_trees import GOLDEN, PROBLEM
from tiny_models import answers, byte_tokenizer, request, tiny_model
from training_cases import QUICK, SOLUTION, row, weights
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_fast.data import sft_rows
from rstar_fast.errors import DataError, PolicyError, StoreError, TrainError
from rstar_fast.policy import Sampling, TransformersPolicy
from rstar_fast.steps import MARKS
from rstar_fast.training import TrainConfig
from rstar_fast.training.marks import add_marks
from rstar_fast.training.train_policy import tokenized, train_policy

pytest.importorskip("trl")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_policy_learns_its_solution_and_stops(base: Path, tmp_path: Path, precision: str) -> None:
    config = TrainConfig.preset(
        "cpu-policy", epochs=60, learning_rate=1e-2, precision=precision, batch_size=2
    )
    before = weights(base)
    report = train_policy(base, [row(SOLUTION), row(SOLUTION)], tmp_path / "out", config)
    assert (report.rows, report.too_long, report.steps, report.new_marks) == (2, 0, 60, MARKS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert [len(tokenizer(mark).input_ids) for mark in MARKS] == [1] * len(MARKS)
    assert set(MARKS) <= set(tokenizer.all_special_tokens)
    policy = TransformersPolicy(tmp_path / "out", device="cpu")
    greedy = Sampling(temperature=0.0, max_tokens=40)
    (expansion,) = answers(policy, [request(0, sampling=greedy)]).values()
    assert [(one.text, one.finish) for one in expansion.candidates] == [(SOLUTION, "mark")]
    after = weights(base)
    assert all(torch.equal(before[name], after[name]) for name in before), (
        "the base stays as it was"
    )


def test_the_same_arguments_give_the_same_policy(base: Path, tmp_path: Path) -> None:
    rows = [row(SOLUTION, f"question {'x' * i}") for i in range(6)]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_policy(
            base, rows, tmp_path / name, TrainConfig(**QUICK, learning_rate=1e-3, seed=seed)
        )
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_the_loss_is_the_mean_over_completion_tokens_however_it_is_cut(
    base: Path, tmp_path: Path
) -> None:
    rows = [row(SOLUTION * (1 + i), f"question {'x' * i}") for i in range(4)]
    fixed: dict[str, Any] = {**QUICK, "batch_size": 4, "max_length": 512}
    reports = [
        train_policy(
            base,
            rows,
            tmp_path / name,
            TrainConfig(**fixed, micro_batch_tokens=tokens, learning_rate=1e-3),
        )
        for name, tokens in (("whole", 4096), ("cut", 1))
    ]
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    add_marks(model, tokenizer)
    losses = []
    for one in tokenized(tokenizer, rows):
        logits = model(torch.tensor([one["input_ids"]])).logits[0, :-1].detach()
        losses.append(
            torch.nn.functional.cross_entropy(
                logits, torch.tensor(one["labels"][1:]), reduction="none"
            )
        )
    learnt = torch.cat(losses)
    learnt = learnt[learnt > 0]
    for report in reports:
        assert report.steps == 1
        assert report.loss == pytest.approx(learnt.mean().item(), rel=1e-4)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.allclose(whole[name], cut[name], atol=2e-4) for name in whole)


def test_only_completions_are_learnt_behind_the_prompts_own_tokens() -> None:
    tokenizer = byte_tokenizer(MARKS, merges=[("a", "b")])
    (one,) = tokenized(tokenizer, [{"prompt": "a", "completion": "b<end_of_step>"}])
    ids = [
        tokenizer.convert_tokens_to_ids(token)
        for token in ("a", "b", "<end_of_step>", tokenizer.eos_token)
    ]
    assert one == {"input_ids": ids, "labels": [-100, *ids[1:]]}
    assert tokenized(tokenizer, []) == []


def test_long_rows_are_left_out_and_counted(base: Path, tmp_path: Path) -> None:
    rows = [row(SOLUTION), row(SOLUTION * 20)]
    report = train_policy(base, rows, tmp_path / "out", TrainConfig(**QUICK))
    assert (report.rows, report.too_long) == (1, 1)
    with pytest.raises(TrainError, match="at most 16 tokens"):
        train_policy(base, rows, tmp_path / "none", TrainConfig(**{**QUICK, "max_length": 16}))
    assert not (tmp_path / "none").exists()
    with pytest.raises(PolicyError, match=r"no config\.json"):
        train_policy(tmp_path, rows, tmp_path / "none", TrainConfig(**QUICK))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adapters_are_merged(tmp_path: Path, tied: bool, precision: str) -> None:
    pytest.importorskip("peft")
    base, tokenizer = tmp_path / "base", byte_tokenizer()
    tiny_model("llama", tokenizer, spread=0.05, tie_word_embeddings=tied).save_pretrained(base)
    tokenizer.save_pretrained(base)
    config = TrainConfig(
        **{**QUICK, "epochs": 40, "precision": precision}, learning_rate=2e-2, lora_rank=4
    )
    train_policy(base, [row(SOLUTION)], tmp_path / "out", config)
    before, after = weights(base), weights(tmp_path / "out")
    assert set(after) == set(before)
    assert sorted(
        path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".safetensors"
    ) == ["model.safetensors"]
    changed = [
        name
        for name in before
        if after[name].shape != before[name].shape
        or not torch.allclose(after[name], before[name], atol=1e-2)
    ]
    assert any("q_proj" in name for name in changed)
    assert not any("norm" in name for name in changed)
    rounded = (
        before["model.embed_tokens.weight"]
        .to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
        .float()
    )
    assert torch.equal(after["model.embed_tokens.weight"][: len(rounded)], rounded), (
        "of the embeddings only the marks' are trained"
    )
    (mark,) = AutoTokenizer.from_pretrained(tmp_path / "out")("<end_of_code>").input_ids
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        spelt = before[name][tokenizer("<end_of_code>").input_ids].mean(0)
        assert (after[name][mark] - spelt).abs().max() > 1e-2


def test_new_marks_begin_as_the_mean_of_what_spelt_them(base: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    spelt = tokenizer("<code>").input_ids
    old = model.get_input_embeddings().weight.detach().clone()
    assert add_marks(model, tokenizer) == list(MARKS)
    (token,) = tokenizer("<code>").input_ids
    assert torch.allclose(model.get_input_embeddings().weight[token], old[spelt].mean(0))
    assert torch.allclose(
        model.get_output_embeddings().weight[token], model.get_input_embeddings().weight[token]
    ) == bool(model.config.tie_word_embeddings)
    assert add_marks(model, tokenizer) == []
    assert len(tokenizer) == model.get_input_embeddings().num_embeddings


def test_data_of_a_tree_are_what_is_trained_on(base: Path, tmp_path: Path) -> None:
    rows = sft_rows([GOLDEN])
    assert train_policy(base, rows, tmp_path / "out", TrainConfig(**QUICK)).rows == 2
    assert PROBLEM.question in rows[0]["prompt"]


def test_a_full_disk_is_told(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", full)
    with pytest.raises(StoreError, match=r"out: could not write the model: .*No space left"):
        train_policy(base, [row(SOLUTION)], tmp_path / "out", TrainConfig(**QUICK))


def test_rows_of_another_kind_are_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"prompt and completion .*, got one with id, steps"):
        train_policy(base, [{"id": "p", "steps": []}], tmp_path / "out", TrainConfig(**QUICK))
