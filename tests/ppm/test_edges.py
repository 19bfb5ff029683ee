"""PPMs at the edge of what a scorer takes: it works, or a clear error says why not."""

from pathlib import Path

import pytest
import torch
from ppm_cases import REQUESTS, SIZES, make_policy, make_tokenizer
from safetensors.torch import load_file, save_file
from tiny_models import closing_tokenizer, with_remote_code
from transformers import AutoModelForSequenceClassification, DiffLlamaConfig

from rstar_fast.errors import ScoreError
from rstar_fast.ppm import PPM, QWEN_MATH_PRM, PackedScorer
from rstar_fast.steps import MARKS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    return make_policy(tmp_path / "policy")


def scores_of(ppm: PPM) -> list[float]:
    return [float(value) for found in PackedScorer(ppm).score(REQUESTS) for value in found.values]


def test_a_head_that_is_not_finite_is_refused(folder: Path, tmp_path: Path) -> None:
    PPM.from_policy(folder, device="cpu").save_pretrained(tmp_path / "ppm")
    weights = load_file(tmp_path / "ppm/model.safetensors")
    weights["score.weight"][0, :3] = float("nan")
    save_file(weights, tmp_path / "ppm/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ScoreError, match=r"ppm: score\.weight: .*got 3 of 32 that are not"):
        PPM.from_pretrained(tmp_path / "ppm", device="cpu")


@pytest.mark.parametrize("key", ["weight", "bias"])
def test_a_reference_head_that_is_not_finite_is_refused(folder: Path, key: str) -> None:
    state = {"v_head.weight": torch.ones(1, 32), "v_head.bias": torch.zeros(1)}
    state[f"v_head.{key}"].fill_(float("inf"))
    torch.save(state, folder / "value_head.bin")
    with pytest.raises(ScoreError, match="finite"):
        PPM.from_pretrained(folder, device="cpu")


def test_a_head_of_another_kind_that_is_not_finite_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    head = {"score.weight": torch.ones(2, 32), "score.bias": torch.tensor([0.0, float("nan")])}
    save_file(weights | head, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ScoreError, match=r"score\.bias: expected finite weights"):
        PPM.from_pretrained(folder, device="cpu", spec=QWEN_MATH_PRM)


def test_a_special_mark_that_the_tokenizer_splits_is_refused(folder: Path) -> None:
    ppm = PPM.from_policy(folder, device="cpu")
    ppm.spec = QWEN_MATH_PRM
    with pytest.raises(ScoreError, match="the mark '<extra_0>' as one token, got 9"):
        PackedScorer(ppm)
    ppm.tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_0>", *MARKS]})
    assert len(scores_of(ppm)) > 10


def test_a_mark_without_an_embedding_is_named(folder: Path) -> None:
    ppm = PPM.from_policy(folder, device="cpu")
    ppm.tokenizer.add_tokens([f"<new{i}>" for i in range(20)])
    ppm.spec = QWEN_MATH_PRM
    ppm.tokenizer.add_tokens(["<extra_0>"])
    with pytest.raises(ScoreError, match=r"the mark '<extra_0>' cannot be read: .* token id 284"):
        PackedScorer(ppm)


def test_a_prompt_does_not_end_as_a_text(folder: Path) -> None:
    ppm = PPM.from_policy(folder, device="cpu")
    ppm.tokenizer = closing_tokenizer(MARKS)
    texts = PackedScorer(ppm)._texts
    question = "a question that ends in <eos>"
    prompt, step = texts.pieces(question, ["step"])
    assert ppm.tokenizer.decode(prompt) == "<bos>" + question.join(ppm.spec.template(None))
    assert ppm.tokenizer.decode(step) == "step"


def test_a_model_in_training_scores_without_dropout(folder: Path) -> None:
    expected = scores_of(PPM.from_policy(folder, device="cpu"))
    ppm = PPM.from_policy(folder, device="cpu")
    for layer in ppm.model.model.layers:
        layer.mlp.down_proj = torch.nn.Sequential(layer.mlp.down_proj, torch.nn.Dropout(0.5))
    ppm.model.train()
    assert scores_of(ppm) == expected
    assert ppm.model.training


@pytest.mark.parametrize("spread", [0.3, 0.02])
def test_a_model_that_would_be_wrong_behind_a_cache_is_refused(spread: float) -> None:
    torch.manual_seed(0)
    config = DiffLlamaConfig(**{**SIZES, "initializer_range": spread}, num_labels=1)
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    with pytest.raises(ScoreError, match="diff: DiffLlamaForSequenceClassification: its"):
        PackedScorer(PPM(model, make_tokenizer(), "diff"))


def test_code_that_comes_with_a_model_is_not_executed(folder: Path) -> None:
    marker = with_remote_code(folder)
    with pytest.raises(ScoreError, match=r"Python code of its own .* which is never executed"):
        PPM.from_pretrained(folder, device="cpu")
    assert not marker.exists()
