"""The policy, the PPM and its training do the same on a GPU as on a CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from tiny_models import answers
from training_cases import pair_rows

pytest.importorskip("triton", reason="the package triton is not installed")

from rstar_fast.embedded import held_out_problems, policy_path, ppm_path
from rstar_fast.kernels.tree_attention import triton as launchers
from rstar_fast.policy import Candidate, ExpandRequest, Sampling, TransformersPolicy
from rstar_fast.ppm import PPM, PackedScorer, ScoreRequest
from rstar_fast.steps import Segment
from rstar_fast.training import TrainConfig
from rstar_fast.training.train_ppm import train_ppm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

PROBLEMS = held_out_problems(6, seed=5)
SCORE_ERROR = {torch.float32: 1e-3, torch.bfloat16: 0.1}
LOGPROB_ERROR = {torch.float32: 1e-3, torch.bfloat16: 0.25}


def write(device: str, dtype: torch.dtype, temperature: float) -> list[Sequence[Candidate]]:
    sampling = Sampling(temperature=temperature, max_tokens=40)
    policy = TransformersPolicy(policy_path(), device=device, dtype=dtype)
    assert policy.device.type == device
    requests = [
        ExpandRequest(i, p.id, 0, p.question, (), 4, 7, sampling) for i, p in enumerate(PROBLEMS)
    ]
    found = answers(policy, requests)
    assert [found[i].error for i in range(len(PROBLEMS))] == [None] * len(PROBLEMS)
    return [found[i].candidates for i in range(len(PROBLEMS))]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_policy_writes_the_same(temperature: float) -> None:
    theirs, ours = (write(device, torch.float32, temperature) for device in ("cpu", "cuda"))
    for one, other in zip(theirs, ours, strict=True):
        assert [candidate.text for candidate in one] == [candidate.text for candidate in other]
        for first, second in zip(one, other, strict=True):
            assert second.logprobs == pytest.approx(
                first.logprobs, abs=LOGPROB_ERROR[torch.float32]
            )


def test_the_policy_writes_nearly_the_same_in_bfloat16() -> None:
    theirs, ours = write("cpu", torch.float32, 0.0), write("cuda", torch.bfloat16, 0.0)
    same = 0
    for one, other in zip(theirs, ours, strict=True):
        same += one[0].text == other[0].text
        assert other[0].logprobs[0] == pytest.approx(
            one[0].logprobs[0], abs=LOGPROB_ERROR[torch.bfloat16]
        )
    assert same >= len(PROBLEMS) - 2


@pytest.mark.parametrize("dtype", SCORE_ERROR)
def test_the_scorer_scores_the_same(dtype: torch.dtype) -> None:
    written = write("cpu", torch.float32, 1.0)

    def scores(device: str, dtype: torch.dtype) -> Any:
        ppm = PPM.from_pretrained(ppm_path(), device=device, dtype=dtype)
        ppm.model.config.ppm_likelihood = 0.0
        scorer = PackedScorer(ppm)
        found = []
        # The second level needs the keys and values that the first one left in the cache.
        for depth in range(2):
            paths = [tuple(Segment(c.text) for c in candidates[:depth]) for candidates in written]
            requests = [
                ScoreRequest(
                    i,
                    p.id,
                    depth,
                    p.question,
                    paths[i],
                    tuple(dict.fromkeys(c.text for c in written[i])),
                )
                for i, p in enumerate(PROBLEMS)
            ]
            scored = scorer.score(requests)
            assert [one.error for one in scored] == [None] * len(PROBLEMS)
            found += [one.values for one in scored]
        return np.concatenate(found)

    expected = scores("cpu", torch.float32)
    with patch.object(launchers, "launch", wraps=launchers.launch) as launch:
        found = scores("cuda", dtype)
    assert launch.call_count > 0
    assert np.abs(found - expected).max() < SCORE_ERROR[dtype]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_ppm_is_trained(tmp_path: Path, precision: str) -> None:
    config = TrainConfig.preset("cpu-ppm", epochs=20, learning_rate=1e-3, precision=precision)
    with patch.object(launchers, "launch", wraps=launchers.launch) as launch:
        report = train_ppm(policy_path(), pair_rows(), tmp_path / "ppm", config)
    assert launch.call_count > 0
    assert report.steps == 20 and report.loss < 0.6
