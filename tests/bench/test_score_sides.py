"""The benches of the scorer and of the kernels run, and their sides agree."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import kernels
import pytest
import score

DocumentOf = Callable[[ModuleType, str], dict[str, Any]]


def test_every_way_to_score_agrees_and_ours_encodes_each_token_once(
    document_of: DocumentOf,
) -> None:
    arguments = (
        "--device cpu --depth 3 --candidates 5 --trees 2 --question 20 --step 7 --repeats 1 "
        "--batch-tokens 60"
    )
    found = document_of(score, arguments)
    assert found["tokens_encoded_per_distinct"] == 1.0
    scoring, training = found["rows"]
    assert len(scoring["sides"]) == 5 and len(training["sides"]) == 3
    assert scoring["sides"]["per path"]["tokens_per_distinct"] == pytest.approx(
        5 * (3 * 20 + 6 * 7) / (20 + 15 * 7)
    )
    assert training["sides"]["packed"]["tokens_per_distinct"] == 1.0


def test_every_implementation_of_the_kernels_agrees(
    monkeypatch: pytest.MonkeyPatch, document_of: DocumentOf
) -> None:
    monkeypatch.setattr(kernels.torch.cuda, "is_available", lambda: False)
    found = document_of(kernels, "--tokens 200 --repeats 1")
    sides = {(row["kernel"], row["side"]) for row in found["rows"]}
    assert {side for kernel, side in sides if kernel == "tree_attention"} == {
        "ours, blockwise",
        "FlexAttention",
        "torch, dense mask",
        "dense causal",
    }
    assert {kernel for kernel, _ in sides} == {"tree_attention", "value_head", "preference_loss"}
