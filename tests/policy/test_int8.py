"""Policies whose linear layers are in int8."""

import pytest
import torch
from tiny_models import answers, byte_tokenizer, request, tiny_model
from torch import nn

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems, policy_path
from rstar_fast.errors import ConfigError
from rstar_fast.models import INT8
from rstar_fast.policy import Sampling, TransformersPolicy
from rstar_fast.policy.int8_linear import check_int8, quantize_linears
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.run import run_config


def has_int8() -> bool:
    try:
        check_int8(torch.device("cpu"))
    except ConfigError:
        return False
    return True


needs_int8 = pytest.mark.skipif(not has_int8(), reason="no int8 products on this processor")


@needs_int8
@pytest.mark.parametrize("bias", [True, False])
def test_layers(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(96, 80, bias=bias, dtype=torch.bfloat16)
    model = nn.Sequential(layer)
    quantize_linears(model)
    inputs = torch.randn(1, 40, 96, dtype=torch.bfloat16)
    # An outlier costs its own token precision, and no other.
    inputs[0, 3, 7] = 300
    inputs[0, 5] = 0
    with torch.inference_mode():
        expected, found = layer(inputs).float(), model(inputs).float()
        error = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
        assert found.isfinite().all() and error[0, 6:].max() < 0.03
        for tokens in (1, 2, 7, 33):
            # In any batch, to the last bit.
            assert torch.equal(model(inputs[:, :tokens].clone()).float(), found[:, :tokens])


@needs_int8
def test_weights_that_an_embedding_shares_stay_as_they_are() -> None:
    layer = nn.Linear(64, 32)
    before = layer.weight.detach().clone()
    quantize_linears(nn.Sequential(layer))
    assert torch.equal(layer.weight, before)


@needs_int8
def test_logprobs_and_draws() -> None:
    requests = [
        request(i, problem.question, n=4, sampling=Sampling(max_tokens=24))
        for i, problem in enumerate(held_out_problems(12))
    ]
    exact = answers(TransformersPolicy(policy_path(), dtype="float32"), requests)
    int8 = TransformersPolicy(policy_path(), dtype=INT8)
    found = answers(int8, requests)
    pairs = [
        (a, b) for i in exact for a, b in zip(exact[i].candidates, found[i].candidates, strict=True)
    ]
    same = [(a, b) for a, b in pairs if a.token_ids == b.token_ids]
    assert len(same) > 0.6 * len(pairs)
    differences = torch.cat(
        [(torch.tensor(a.logprobs) - torch.tensor(b.logprobs)).abs() for a, b in same]
    )
    assert differences.mean() < 0.03
    again = answers(TransformersPolicy(policy_path(), dtype=INT8, max_rows=7), requests[::-1])
    equal = [
        a.token_ids == b.token_ids
        for i in found
        for a, b in zip(found[i].candidates, again[i].candidates, strict=True)
    ]
    # Attention and its keys and values are in bfloat16, which other batches round otherwise.
    assert sum(equal) >= 0.75 * len(equal)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="dtype int8: only the CPU has int8 layers"):
        check_int8(torch.device("cuda"))
    tokenizer = byte_tokenizer()
    with pytest.raises(ConfigError, match="a loaded one is left as it is"):
        TransformersPolicy(tiny_model("qwen2", tokenizer), tokenizer, dtype=INT8)
    for policy in ("vllm:some/model", "http://localhost:1/v1#model"):
        config = SearchConfig(strategy="greedy", candidates=1, use_scores=False)
        with (
            pytest.raises(ConfigError, match="dtype int8: expected a model folder"),
            open_searcher(config, policy, dtype=INT8),
        ):
            pass
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    with pytest.raises(ConfigError, match="expected a processor with AVX-512 VNNI"):
        TransformersPolicy(policy_path(), dtype=INT8)


def test_it_is_part_of_what_a_run_records() -> None:
    records = [
        run_config(
            SearchConfig(), policy="embedded", ppm="embedded", problems="p.jsonl", dtype=dtype
        )
        for dtype in (None, INT8)
    ]
    assert [record["dtype"] for record in records] == [None, "int8"]


@needs_int8
def test_a_search_with_a_ppm() -> None:
    config = SearchConfig(rollouts=1, candidates=2, max_depth=3)
    with open_searcher(config, "embedded", "embedded", workers=1, dtype=INT8) as searcher:
        trees = list(searcher.search(held_out_problems(2)))
    assert len(trees) == 2
