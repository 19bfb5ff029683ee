"""ServerPolicy and ServerScorer against vLLM's own server."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lib.vllm_server import vllm_server
from ppm_cases import request_of
from tiny_models import answers, request

from rstar_fast.embedded import held_out_problems, policy_path, ppm_path
from rstar_fast.policy import Sampling, ServerPolicy, TransformersPolicy, VLLMPolicy
from rstar_fast.ppm import PPM, PackedScorer, ServerScorer

WAIT_S = 300

# On a busy machine a server takes minutes to start.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("policy") / "log"
    details = "--enable-prompt-tokens-details"
    with vllm_server(policy_path(), "small", details, log=log) as (found, _):
        yield found


def test_candidates_of_the_server_are_those_of_the_engine(address: str) -> None:
    policy = ServerPolicy(f"{address}/v1", "small", tokenizer=policy_path())
    own = VLLMPolicy(policy_path(), dtype="float32", cache_bytes=16 << 20)
    other = TransformersPolicy(policy_path(), dtype="float32", device="cpu")
    assert policy.identity.dialect == "vllm"
    for temperature in (0.0, 1.0):
        sampling = Sampling(temperature=temperature, max_tokens=60)
        asked = [
            request(i, one.question, n=3, sampling=sampling)
            for i, one in enumerate(held_out_problems(4))
        ]
        expected = answers(own if temperature else other, asked)
        for each in asked:
            found = policy.submit(each).result(WAIT_S)
            assert found.error is None
            for ours, theirs in zip(found.candidates, expected[each.id].candidates, strict=True):
                assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)
                assert ours == dataclasses.replace(theirs, logprobs=ours.logprobs)
                assert ours.ends_with_token
    long = policy.submit(request(9, "word " * 2000)).result(WAIT_S)
    assert long.error is not None
    assert policy.stats.reused_tokens > 0
    policy.close()
    own.close()


def test_scores_of_the_server_are_those_of_the_packed_scorer(tmp_path: Path) -> None:
    pooling = ("--runner", "pooling", "--pooler-config", '{"task":"token_classify"}')
    some = np.array([-0.5, -0.25], np.float32).tobytes()
    asked = [
        dataclasses.replace(
            request_of(i, one.question, ["<code>\nn = 1\n<end_of_step>"], "\nn = 2", "\nn = 3"),
            path_logprobs=(some,),
            child_logprobs=(some, some[:4]),
        )
        for i, one in enumerate(held_out_problems(4))
    ]
    packed = PackedScorer(PPM.from_pretrained(ppm_path(), device="cpu", dtype="float32"))
    with vllm_server(ppm_path(), "ppm", *pooling, log=tmp_path / "log") as (address, _):
        scorer = ServerScorer(f"{address}/v1", "ppm", ppm_path())
        for each, expected in zip(asked, packed.score(asked), strict=True):
            found = scorer.submit(each).result(WAIT_S)
            assert found.error is None
            assert np.abs(found.values - expected.values).max() < 1e-3
        scorer.close()
