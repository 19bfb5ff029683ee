"""PPM folders, on tiny random models."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ppm_cases import (
    REQUESTS,
    SIZES,
    make_policy,
    make_tokenizer,
    request_of,
    score_alone,
)
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    Qwen2ForCausalLM,
)

from rstar_fast.errors import ScoreError
from rstar_fast.ppm import PPM, PackedScorer, ScriptedScorer
from rstar_fast.prompts import finetuned_prompt


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_policy(tmp_path_factory.mktemp("policy"), request.param)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_policy(tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def ppm(qwen: Path) -> PPM:
    return PPM.from_policy(qwen, device="cpu")


@pytest.fixture
def edit_config(tmp_path: Path, ppm: PPM) -> Callable[..., Path]:
    """A saved PPM whose config.json has other options."""

    def edit(**options: object) -> Path:
        ppm.save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, **options}))
        return tmp_path

    return edit


class TestModel:
    def test_new_head_is_reproducible_and_saved(self, policy: Path, tmp_path: Path) -> None:
        made = PPM.from_policy(policy, device="cpu", scale=2.5)
        assert torch.equal(
            made.model.score.weight, PPM.from_policy(policy, device="cpu").model.score.weight
        )
        assert not torch.equal(
            made.model.score.weight,
            PPM.from_policy(policy, device="cpu", seed=1).model.score.weight,
        )
        made.save_pretrained(tmp_path)
        loaded = PPM.from_pretrained(tmp_path, device="cpu")
        assert (loaded.scale, loaded.bias, loaded.name) == (2.5, 0.0, str(tmp_path))
        assert score_alone(loaded, "q", "x") == pytest.approx(score_alone(made, "q", "x"), abs=1e-6)
        backbone = AutoModel.from_pretrained(policy).state_dict()
        assert all(
            torch.equal(weight, backbone[name])
            for name, weight in loaded.model.base_model.state_dict().items()
        )

    def test_the_folder_is_plain_hugging_face(self, ppm: PPM, tmp_path: Path) -> None:
        ppm.save_pretrained(tmp_path)
        plain, report = AutoModelForSequenceClassification.from_pretrained(
            tmp_path, output_loading_info=True
        )
        assert not any(report.values())
        assert (
            plain.config.num_labels == 1 and plain.config.pad_token_id == ppm.tokenizer.pad_token_id
        )
        batch = ppm.tokenizer(
            ["short", "a longer text"], return_tensors="pt", padding=True, padding_side="right"
        )
        with torch.no_grad():
            together = plain(**batch).logits[:, 0]
            last = batch.attention_mask.sum(1) - 1
            assert torch.allclose(together, ppm.forward(batch.input_ids, last), atol=1e-5)

    def test_half_precision_keeps_the_head_in_float32(self, qwen: Path) -> None:
        half = PPM.from_policy(qwen, device="cpu", dtype="bfloat16")
        value = half.forward(torch.ones(2, 3, dtype=torch.int64), torch.tensor([2, 0]))
        assert half.model.dtype == torch.bfloat16 and value.dtype == torch.float32
        (scores,) = PackedScorer(half).score(REQUESTS[:1])
        assert scores.error is None

    def test_gradients_reach_head_and_backbone(self, ppm: PPM) -> None:
        ppm.squash(
            ppm.forward(torch.ones(2, 3, dtype=torch.int64), torch.tensor([2, 1]))
        ).sum().backward()
        assert all(parameter.grad is not None for parameter in ppm.model.parameters())

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"ppm_scale": 0.0}, "ppm_scale: expected a number above 0, got 0.0"),
            ({"ppm_scale": "5"}, "ppm_scale: expected a finite number, got '5'"),
            (
                {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}},
                "expected one label, got 2",
            ),
            ({"architectures": ["Qwen2ForCausalLM"]}, "got Qwen2ForCausalLM and no value_head.bin"),
            ({"architectures": None}, "got an unnamed architecture"),
            ({"hidden_size": 64}, "could not be loaded as a sequence-classification model"),
            ({"num_hidden_layers": 3}, "expected a model's folder or hub name"),
            (
                {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3},
                "missing: model.layers.2",
            ),
        ],
    )
    def test_other_folders_are_refused(
        self, edit_config: Callable[..., Path], options: dict[str, object], says: str
    ) -> None:
        folder = edit_config(**options)
        with pytest.raises(ScoreError, match=says) as caught:
            PPM.from_pretrained(folder, device="cpu")
        assert str(folder) in str(caught.value)

    def test_missing_parts(self, ppm: PPM, tmp_path: Path) -> None:
        with pytest.raises(ScoreError, match="expected a model's folder or hub name"):
            PPM.from_pretrained(tmp_path / "none")
        ppm.model.save_pretrained(tmp_path)
        with pytest.raises(ScoreError, match="expected a tokenizer beside the model"):
            PPM.from_pretrained(tmp_path, device="cpu")
        ppm.tokenizer.save_pretrained(tmp_path)
        PPM.from_pretrained(tmp_path, device="cpu")

    def test_models_that_are_not_causal_are_refused(self, tmp_path: Path) -> None:
        config = BertConfig(
            vocab_size=270,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
        )
        config.num_labels = 1
        BertForSequenceClassification(config).save_pretrained(tmp_path)
        make_tokenizer().save_pretrained(tmp_path)
        with pytest.raises(
            ScoreError, match="BertForSequenceClassification: expected a linear head `score`"
        ):
            PPM.from_pretrained(tmp_path, device="cpu")

    def test_padding_token_lies_within_the_embeddings(self, tmp_path: Path) -> None:
        make_policy(tmp_path)
        tokenizer = make_tokenizer()
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
        tokenizer.add_tokens([f"<{i}>" for i in range(20)])
        tokenizer.save_pretrained(tmp_path)
        assert (
            PPM.from_policy(tmp_path, device="cpu").model.config.pad_token_id < SIZES["vocab_size"]
        )


class TestReferenceLayout:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return make_policy(tmp_path)

    @pytest.mark.parametrize("prefix", ["v_head.summary.", "summary.", ""])
    @pytest.mark.parametrize("bias", [0.7, None])
    def test_scores_are_tanh_of_a_fifth(
        self, folder: Path, prefix: str, bias: float | None
    ) -> None:
        weight = torch.randn(1, 32)
        state = {f"{prefix}weight": weight}
        if bias is not None:
            state[f"{prefix}bias"] = torch.tensor([bias])
        torch.save(state, folder / "value_head.bin")
        ppm = PPM.from_pretrained(folder, device="cpu")
        policy: Any = Qwen2ForCausalLM.from_pretrained(folder)
        text = finetuned_prompt("How?") + "<code>\nx = 1<end_of_step>"
        with torch.no_grad():
            hidden = policy(
                **ppm.tokenizer(text, return_tensors="pt"), output_hidden_states=True
            ).hidden_states[-1][0, -1]
        expected = math.tanh((hidden @ weight[0] + (bias or 0.0)).item() / 5)
        (scores,) = PackedScorer(ppm).score(
            [request_of(0, "How?", ["<code>\n"], "x = 1<end_of_step>")]
        )
        assert scores.values == pytest.approx([expected], abs=1e-6)

    def test_saved_as_a_plain_folder(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        torch.save(
            {
                "v_head.summary.weight": torch.randn(1, 32),
                "v_head.summary.bias": torch.tensor([0.1]),
            },
            folder / "value_head.bin",
        )
        ppm = PPM.from_pretrained(folder, device="cpu")
        other = tmp_path_factory.mktemp("saved")
        ppm.save_pretrained(other)
        loaded = PPM.from_pretrained(other, device="cpu")
        assert (loaded.scale, loaded.bias) == (5.0, torch.tensor([0.1]).item())
        assert score_alone(loaded, "q", "x") == pytest.approx(score_alone(ppm, "q", "x"), abs=1e-6)
        assert AutoConfig.from_pretrained(other).architectures == ["Qwen2ForSequenceClassification"]

    @pytest.mark.parametrize(
        ("state", "says"),
        [
            ({}, "expected one weight"),
            ([1, 2], "got list"),
            (
                {"a.weight": torch.zeros(1, 32), "b.weight": torch.zeros(1, 32)},
                r"got a.weight \[1, 32\], b.weight \[1, 32\]",
            ),
            ({"weight": torch.zeros(1, 32), "bias": torch.zeros(2)}, r"bias \[2\]"),
            (
                {"weight": torch.zeros(1, 16)},
                r"expected a weight of shape \[1, 32\], got \[1, 16\]",
            ),
            ({"weight": torch.zeros(2, 32)}, r"got \[2, 32\]"),
        ],
    )
    def test_other_heads_are_refused(self, folder: Path, state: object, says: str) -> None:
        torch.save(state, folder / "value_head.bin")
        with pytest.raises(ScoreError, match=says) as caught:
            PPM.from_pretrained(folder, device="cpu")
        assert "value_head.bin" in str(caught.value)

    def test_a_head_that_is_no_state_dict(self, folder: Path) -> None:
        (folder / "value_head.bin").write_bytes(b"no")
        with pytest.raises(ScoreError, match="expected a state dict"):
            PPM.from_pretrained(folder, device="cpu")


class TestScripted:
    def test_by_table(self) -> None:
        scorer = ScriptedScorer({"ab": 0.5, "ac": -1.0})
        known, unknown = scorer.score(
            [request_of(0, "q", ["a"], "b", "c"), request_of(1, "q", ["a"], "d")]
        )
        assert known.values.tolist() == [0.5, -1.0] and known.error is None
        assert unknown.error == "the script has no score for 'ad'"
        assert [request.id for request in scorer.requests] == [0, 1]

    def test_by_function(self) -> None:
        scorer = ScriptedScorer(
            lambda question, solution: len(question) / len(solution), name="ratio"
        )
        assert scorer.score([request_of(0, "q", ["a"], "b", "")])[0].values.tolist() == [0.5, 1.0]
        assert scorer.name == "ratio"


def test_importing_the_package_does_not_import_torch() -> None:
    code = """
import sys
import rstar_fast.ppm
assert "torch" not in sys.modules and "transformers" not in sys.modules
try:
    rstar_fast.ppm.Nothing
except AttributeError as error:
    print(error)
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "has no attribute 'Nothing'" in printed
