"""Packed trees through real architectures: the same values and gradients as one text at a time."""

import numpy as np
import pytest
import torch
from random_trees import SHAPES, TokenTree, random_tree
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from rstar_fast._core import Pack, pack
from rstar_fast.errors import ScoreError
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel

SIZES: dict[str, object] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "num_labels": 1,
}
CONFIGS: dict[str, tuple[type[PretrainedConfig], dict[str, object]]] = {
    "qwen2": (Qwen2Config, {}),
    "qwen2, one windowed layer": (
        Qwen2Config,
        {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    ),
    "qwen3": (Qwen3Config, {"head_dim": 16}),
    "llama": (LlamaConfig, {}),
    "phi3": (Phi3Config, {}),
    "phi3, windowed": (Phi3Config, {"sliding_window": 5}),
    "mistral, windowed": (MistralConfig, {"sliding_window": 7}),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_ppm(name: str, dtype: torch.dtype = torch.float32, **options: object) -> PPM:
    kind, extra = CONFIGS[name]
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(
        kind(**{**SIZES, **extra, **options}), dtype=torch.float32
    )
    return PPM(model.to(dtype), None, name)


def packed(tree: TokenTree) -> Pack:
    return pack(tree.parents, tree.num_tokens, tree.tokens)


def one_at_a_time(ppm: PPM, tree: TokenTree) -> Tensor:
    """The model's own forward on the text of every node."""
    texts = [tree.text(node) for node in range(len(tree.parents))]
    width = max(map(len, texts))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    return ppm.forward(ids, torch.tensor([len(text) - 1 for text in texts]))


def exact_norms(ppm: PPM) -> None:
    """Transformers' norms round to float32 in a float64 model; these do not."""

    def norm(self: nn.Module, hidden: Tensor) -> Tensor:
        return nn.functional.rms_norm(hidden, self.weight.shape, self.weight, self.variance_epsilon)  # type: ignore[arg-type]

    for module in ppm.model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = norm.__get__(module)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_values_are_those_of_one_text_at_a_time(name: str, shape: str) -> None:
    ppm = make_ppm(name)
    with torch.no_grad():
        expected = one_at_a_time(ppm, SHAPES[shape])
        found = PackedModel(ppm).values(packed(SHAPES[shape]))
    assert len(found) == 1 or found.std() > 1e-2
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_to_the_last_digits_with_gradients(name: str, shape: str) -> None:
    tree = SHAPES[shape]
    ppm = make_ppm(name, torch.float64)
    exact_norms(ppm)
    weight = torch.randn(
        len(tree.parents), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    results = []
    for values in (one_at_a_time(ppm, tree), PackedModel(ppm).values(packed(tree))):
        ppm.model.zero_grad()
        (values * weight).sum().backward()
        results.append(
            (values.detach(), {key: p.grad.clone() for key, p in ppm.model.named_parameters()})
        )
    (expected, expected_gradients), (found, gradients) = results
    np.testing.assert_allclose(found, expected, atol=1e-12, rtol=1e-12)
    assert gradients.keys() == expected_gradients.keys()
    for key, gradient in expected_gradients.items():
        scale = max(1.0, float(gradient.abs().max()))
        np.testing.assert_allclose(
            gradients[key] / scale, gradient / scale, atol=1e-12, rtol=0, err_msg=key
        )


def test_training_packed_is_training_pair_by_pair() -> None:
    tree = random_tree(5, 30)
    groups = [([3, 4], [5, 6]), ([10], [11, 12]), ([20, 21], [22])]
    losses = []
    for form in (one_at_a_time, lambda ppm, tree: PackedModel(ppm).values(packed(tree))):
        ppm = make_ppm("qwen2")
        optimizer = torch.optim.AdamW(ppm.model.parameters(), lr=1e-3)
        history = []
        for _ in range(5):
            loss = preference_loss(form(ppm, tree), PairGroups.of(groups)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        losses.append(history)
    assert losses[0][-1] < losses[0][0] / 2
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_half_precision() -> None:
    ppm = make_ppm("qwen2", torch.bfloat16)
    tree = SHAPES["random"]
    with torch.no_grad():
        found, expected = PackedModel(ppm).values(packed(tree)), one_at_a_time(ppm, tree)
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_the_model_is_as_before() -> None:
    ppm = make_ppm("llama")
    before = ppm.model.config._attn_implementation
    model = PackedModel(ppm)
    with pytest.raises(IndexError):
        model.values(
            pack(np.array([-1], np.int32), np.array([1], np.int32), np.array([99], np.int32))
        )
    assert ppm.model.config._attn_implementation == before
    assert not ppm.model.base_model.norm._forward_pre_hooks


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2, num_labels=1),
            "GPT2ForSequenceClassification: expected a root",
        ),
        (
            GemmaConfig(**{**SIZES, "head_dim": 8}),
            "GemmaForSequenceClassification: expected a root-mean-square norm",
        ),
    ],
)
def test_other_models_are_refused_by_name(config: PretrainedConfig, says: str) -> None:
    with pytest.raises(ScoreError, match=says):
        PackedModel(PPM(AutoModelForSequenceClassification.from_config(config), None, "other"))


def test_a_model_whose_attention_is_not_plain_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ppm = make_ppm("qwen2")
    forward = ppm.forward
    monkeypatch.setattr(ppm, "forward", lambda *arguments: 2 * forward(*arguments))
    with pytest.raises(
        ScoreError,
        match="qwen2: Qwen2ForSequenceClassification: its attention or its head is not plain",
    ):
        PackedModel(ppm)


def test_a_path_without_tokens_has_no_value() -> None:
    model = PackedModel(make_ppm("qwen2"))
    with pytest.raises(
        ScoreError,
        match="expected at least one token on the path of every node, got none at node 0",
    ):
        model.values(
            pack(np.array([-1, 0], np.int32), np.array([0, 1], np.int32), np.array([3], np.int32))
        )


def test_embeddings_that_stretch_are_held_to_their_original_context() -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
    }
    ppm = make_ppm(
        "phi3",
        rope_parameters={**rope, "original_max_position_embeddings": 32},
        original_max_position_embeddings=32,
    )
    assert PackedModel(ppm).max_tokens == 32 and PackedModel(make_ppm("phi3")).max_tokens == 128
