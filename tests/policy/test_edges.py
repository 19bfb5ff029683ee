"""Models and texts at the edge of what a policy takes: it works, or a clear error says why not."""

import platform
import warnings
from pathlib import Path

import pytest
import torch
from tiny_models import (
    answers,
    byte_tokenizer,
    closing_tokenizer,
    request,
    tiny_model,
    with_remote_code,
)
from transformers import (
    AfmoeConfig,
    AutoModelForCausalLM,
    DiffLlamaConfig,
    DogeConfig,
    JetMoeConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from rstar_fast.errors import PolicyError
from rstar_fast.policy import Sampling, TransformersPolicy
from rstar_fast.policy.loading import multiplies_bfloat16
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import MARKS, Segment

TOKENIZER = byte_tokenizer()
SAMPLED = Sampling(temperature=1.3, max_tokens=10)


def candidates_of(model: PreTrainedModel) -> list[tuple[int, ...]]:
    done = answers(
        TransformersPolicy(model, TOKENIZER),
        [request(0, n=4, sampling=SAMPLED), request(1, path=[Segment("x")], sampling=SAMPLED)],
    )
    return [c.token_ids for i in range(2) for c in done[i].candidates]


def test_a_prompt_begins_but_does_not_end_as_a_text() -> None:
    tokenizer = closing_tokenizer()
    policy = TransformersPolicy(tiny_model("llama", tokenizer), tokenizer)
    tokens = policy._prefix_tokens.of(request(0, path=[Segment("x")]))
    assert tokenizer.decode(tokens) == "<bos>" + finetuned_prompt("How many?") + "x"


def test_lone_surrogates_are_read_as_replacement_characters() -> None:
    policy = TransformersPolicy(tiny_model("llama", TOKENIZER), TOKENIZER)
    asks = [
        request(i, f"How\n{odd}?", [Segment(f"1{odd}")], sampling=SAMPLED)
        for i, odd in enumerate(("\ud800", "\ufffd"))
    ]
    first, second = (policy._prefix_tokens.of(ask) for ask in asks)
    assert first == second
    assert all(expansion.error is None for expansion in answers(policy, asks).values())


def test_a_mark_without_an_embedding_is_named() -> None:
    model = tiny_model("llama", TOKENIZER)
    with pytest.raises(PolicyError, match=r"mark '<code>' cannot be read: .*resize_token_embed"):
        TransformersPolicy(model, byte_tokenizer(MARKS))


def test_another_token_without_an_embedding_fails_its_request() -> None:
    model = tiny_model("llama", TOKENIZER)
    policy = TransformersPolicy(model, TOKENIZER)
    done = answers(policy, [request(0, path=[Segment("x", (9999,))])])[0]
    assert done.error and "token id 9999" in done.error
    assert "the model has embeddings for ids below" in done.error


def test_a_model_in_training_is_read_without_dropout_and_stays_in_training() -> None:
    options = {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}
    expected = candidates_of(tiny_model("gpt2", TOKENIZER, **options))
    model = tiny_model("gpt2", TOKENIZER, **options)
    model.train()
    model.transformer.h[0].eval()
    assert candidates_of(model) == expected
    assert model.training and model.transformer.h[1].mlp.training
    assert not model.transformer.h[0].mlp.training


_SIZES = {
    "vocab_size": len(TOKENIZER),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
_EXPERTS = {**_SIZES, "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
EXPERTS = {
    "JetMoe": JetMoeConfig(**_EXPERTS, kv_channels=8),
    "Afmoe": AfmoeConfig(
        **_EXPERTS,
        head_dim=8,
        moe_intermediate_size=16,
        num_dense_layers=1,
        layer_types=["full_attention"] * 2,
    ),
}
REFUSED: dict[str, tuple[PretrainedConfig, str]] = {
    "DiffLlama": (DiffLlamaConfig(**_SIZES), "attends more than once in layer 0"),
    "Doge": (DogeConfig(**_SIZES), "makes an attention mask of its own"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("spread", [0.3, 0.02])
def test_models_that_would_be_wrong_behind_a_cache_are_refused(kind: str, spread: float) -> None:
    config, says = REFUSED[kind]
    config.initializer_range = spread
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with pytest.raises(PolicyError, match=rf"{kind}\w+.*{says}"):
        TransformersPolicy(model, TOKENIZER)


@pytest.mark.parametrize("kind", EXPERTS)
def test_models_that_reshape_what_attention_gives_them(kind: str) -> None:
    """They view it as [tokens, all heads], so it must be dense."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(EXPERTS[kind], dtype=torch.float32).eval()
    policy = TransformersPolicy(model, TOKENIZER)
    asked = request(0, sampling=Sampling(temperature=0, max_tokens=10))
    (candidate,) = answers(policy, [asked])[0].candidates
    prompt = torch.tensor([policy._prefix_tokens.of(asked)])
    text = model.generate(prompt, max_new_tokens=10, do_sample=False)[0, prompt.shape[1] :]
    assert candidate.token_ids
    assert candidate.token_ids == tuple(text[: len(candidate.token_ids)].tolist())


def test_queries_that_are_not_dense_are_attended_from() -> None:
    """Where a model computes them in another order of dimensions."""
    dense, strided = (tiny_model("qwen3", TOKENIZER) for _ in range(2))
    for layer in strided.model.layers:
        layer.self_attn.q_norm.register_forward_hook(
            lambda module, arguments, output: output.transpose(-1, -2).contiguous().mT
        )
    assert candidates_of(strided) == candidates_of(dense)


def test_a_model_that_is_wrong_only_behind_a_cache_is_refused() -> None:
    """One whose layers look at how many tokens they are given."""
    model = tiny_model("llama", TOKENIZER, spread=0.02)
    layer = model.model.layers[1].self_attn
    layer.register_forward_hook(
        lambda module, arguments, output: (output[0] * (output[0].shape[1] > 3), *output[1:])
    )
    with pytest.raises(PolicyError, match="logits behind kept keys and values differ"):
        TransformersPolicy(model, TOKENIZER)


def test_a_window_that_only_a_layer_knows_bounds_the_context() -> None:
    model = tiny_model("mistral", TOKENIZER, sliding_window=64)
    model.config.layer_types = ["full_attention"] * 2
    assert TransformersPolicy(model, TOKENIZER)._model.context_tokens == 64


def test_rotary_embeddings_that_change_bound_the_context() -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
    }
    model = tiny_model(
        "phi3", TOKENIZER, rope_parameters=rope, original_max_position_embeddings=128
    )
    assert TransformersPolicy(model, TOKENIZER)._model.context_tokens == 128


def test_code_that_comes_with_a_model_is_not_executed(tmp_path: Path) -> None:
    tiny_model("llama", TOKENIZER).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    marker = with_remote_code(tmp_path)
    with pytest.raises(PolicyError, match=r"Python code of its own .* which is never executed"):
        TransformersPolicy(tmp_path, device="cpu")
    assert not marker.exists()


@pytest.mark.parametrize("has", [False, True])
def test_slow_products_of_the_stored_type_are_named(
    has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: has, raising=False)
    tiny_model("llama", TOKENIZER).to(torch.bfloat16).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for dtype in (None, "bfloat16", "float32"):
            TransformersPolicy(tmp_path, device="cpu", dtype=dtype)
    told = [str(one.message) for one in found if "no products" in str(one.message)]
    assert len(told) == (0 if has else 1)
    assert multiplies_bfloat16(torch.device("cuda"))
