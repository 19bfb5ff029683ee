"""The benches of the scorer and of the kernels run, and what they hold their sides to holds."""

import json
import sys
from typing import Any

import kernels
import pytest
import score


def last_line(
    main: Any, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments.split()])
    main()
    document: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return document


def test_every_way_to_score_agrees_and_ours_encodes_each_token_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "--device cpu --depth 3 --candidates 5 --trees 2 --question 20 --step 7 --repeats 1 --batch-tokens 60"
    found = last_line(score.main, arguments, monkeypatch, capsys)
    assert found["tokens_encoded_per_distinct"] == 1.0
    scoring, training = found["rows"]
    assert len(scoring["sides"]) == 5 and len(training["sides"]) == 3
    assert scoring["sides"]["per path"]["tokens_per_distinct"] == pytest.approx(
        5 * (3 * 20 + 6 * 7) / (20 + 15 * 7)
    )
    assert training["sides"]["packed"]["tokens_per_distinct"] == 1.0


def test_every_implementation_of_the_kernels_agrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernels.torch.cuda, "is_available", lambda: False)
    found = last_line(kernels.main, "--tokens 200 --repeats 1", monkeypatch, capsys)
    sides = {(row["kernel"], row["side"]) for row in found["rows"]}
    assert {side for kernel, side in sides if kernel == "tree_attention"} == {
        "ours, blockwise",
        "FlexAttention",
        "torch, dense mask",
        "dense causal",
    }
    assert {kernel for kernel, _ in sides} == {"tree_attention", "value_head", "preference_loss"}
