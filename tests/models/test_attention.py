"""Swapping the attention of a model for one forward, and the models that are refused."""

from typing import Any

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from rstar_fast.errors import ScoreError
from rstar_fast.models.attention import AttentionSwap

TOKENIZER = byte_tokenizer()
TOKENS, POSITIONS = torch.arange(4)[None], torch.arange(4)[None]


def note(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, batch: Any, *_: object
) -> Tensor:
    """Note the layer in the batch; the results are the queries."""
    batch.append(module.layer_idx)
    return query.transpose(1, 2)


SWAP = AttentionSwap("rstar_fast_test", note, ScoreError)


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny_model("llama", TOKENIZER)


def test_the_function_gets_the_batch_and_the_configuration_is_restored(
    model: PreTrainedModel,
) -> None:
    before = model.config._attn_implementation
    layers: list[int] = []
    output = SWAP.forward(model, TOKENS, POSITIONS, layers, logits_to_keep=1)
    assert layers == [0, 1] and output.logits.shape[:2] == (1, 1)
    with pytest.raises(IndexError):
        SWAP.forward(model, TOKENS + 10**6, POSITIONS, layers)
    assert model.config._attn_implementation == before


def test_a_model_that_loses_the_batch_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(ScoreError, match="LlamaAttention does not hand the keyword arguments"):
        SWAP.forward(model, TOKENS, POSITIONS, None)


def test_arguments_that_change_the_result_are_refused(model: PreTrainedModel) -> None:
    for name in ("s_aux", "indices", "never_heard_of"):
        with pytest.raises(ScoreError, match=f"LlamaAttention uses '{name}' in its attention"):
            SWAP.forward(model, TOKENS, POSITIONS, [], **{name: torch.zeros(4)})


def test_a_mask_of_the_models_own_is_refused(model: PreTrainedModel) -> None:
    attention = model.model.layers[0].self_attn
    forward = attention.forward

    def masked(*arguments: Any, attention_mask: Tensor, **options: Any) -> Any:
        return forward(*arguments, attention_mask=attention_mask.expand(1, 1, 4, 4), **options)

    attention.forward = masked
    with pytest.raises(ScoreError, match="LlamaAttention makes an attention mask of its own"):
        SWAP.forward(model, TOKENS, POSITIONS, [])


def test_a_probe_may_differ_a_little() -> None:
    plain = torch.ones(8)
    SWAP.check_probe(1.001 * plain, plain, torch.float32, "m: logits")
    SWAP.check_probe(1.05 * plain, plain, torch.bfloat16, "m: logits")
    for other, dtype in (
        (1.05 * plain, torch.float32),
        (2 * plain, torch.bfloat16),
        (plain * torch.nan, torch.bfloat16),
    ):
        with pytest.raises(ScoreError, match="m: logits differ from the model's by"):
            SWAP.check_probe(other, plain, dtype, "m: logits")


def test_models_without_the_interface_are_refused() -> None:
    with pytest.raises(ScoreError, match="m: expected a model that takes its attention function"):
        SWAP.check_support(nn.Linear(1, 1), "m")
