"""VLLMScorer against PackedScorer, and a search with both engines of vLLM's in one process."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import vllm
from ppm_cases import REQUESTS, SIZES, make_tokenizer, request_of
from transformers import Qwen2Config, Qwen2ForCausalLM

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems, ppm_path
from rstar_fast.errors import ScoreError
from rstar_fast.models import vllm_engine
from rstar_fast.ppm import PPM, PackedScorer, ScoreRequest, Scores, ScoreSpec, VLLMScorer
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.run import _engines
from rstar_fast.tree import Tree

CACHE_BYTES = 16 << 20
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose heads are large enough for vLLM's CPU build."""
    folder = tmp_path_factory.mktemp("causal")
    torch.manual_seed(1)
    sizes = SIZES | {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    model: Any = Qwen2ForCausalLM(Qwen2Config(**sizes))
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def saved(causal: Path, folder: Path, **constants: object) -> Path:
    """Make a PPM of ours with some constants."""
    ppm = PPM.from_policy(causal, device="cpu", seed=2)
    for name, value in constants.items():
        setattr(ppm.model.config, name, value)
    ppm.save_pretrained(folder)
    return folder


def compare(
    folder: Path, requests: list[ScoreRequest], spec: ScoreSpec | None = None
) -> tuple[VLLMScorer, list[Scores]]:
    """Check that both scorers answer alike, twice, and return one and its answers."""
    more = {} if spec is None else {"spec": spec}
    ppm = PPM.from_pretrained(folder, device="cpu", dtype="float32", **more)  # type: ignore[arg-type]
    expected = PackedScorer(ppm).score(requests)
    scorer = VLLMScorer(folder, cache_bytes=CACHE_BYTES, **more)  # type: ignore[arg-type]
    for _ in range(2):
        found = scorer.score(requests)
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.request_id, ours.error) == (theirs.request_id, theirs.error)
            assert np.abs(ours.values - theirs.values).max(initial=0) < TOLERANCE
    return scorer, found


def with_logprobs(request: ScoreRequest) -> ScoreRequest:
    some = np.array([-0.5, -0.25], np.float32).tobytes()
    return replace(
        request,
        path_logprobs=(some,) * len(request.path),
        child_logprobs=tuple(some[: 4 * (i % 3)] for i in range(len(request.children))),
    )


def test_scores_are_those_of_the_packed_scorer(causal: Path, tmp_path: Path) -> None:
    scorer, found = compare(saved(causal, tmp_path), REQUESTS)
    # A test with equal scores would show nothing.
    assert np.ptp(found[2].values) > 0.01
    # The second time, whole blocks are there already.
    assert scorer.stats.reused_tokens > scorer.stats.encoded_tokens
    assert not scorer.engine.has_unfinished_requests()


def test_constants_and_the_policys_likelihood_count(causal: Path, tmp_path: Path) -> None:
    folder = saved(causal, tmp_path, ppm_bias=0.3, ppm_scale=2.0, ppm_likelihood=0.1)
    compare(folder, list(map(with_logprobs, REQUESTS)))
    _, found = compare(folder, REQUESTS)
    assert "log-probabilities of the policy" in str(found[0].error)


@pytest.mark.parametrize("aggregate", ["min", "mean", "product"])
def test_all_steps_of_a_path_count(causal: Path, tmp_path: Path, aggregate: Any) -> None:
    spec = ScoreSpec(aggregate=aggregate, mark="\n")
    scorer, _ = compare(saved(causal, tmp_path), REQUESTS, spec)
    encoded = scorer.stats.encoded_tokens
    scorer.score(REQUESTS)
    assert scorer.stats.encoded_tokens == encoded


def test_observations_are_read(causal: Path, tmp_path: Path) -> None:
    request = request_of(0, "Q", ["<code>\nx = 1\nprint(x)<end_of_step>"], "\ny = 2<end_of_step>")
    request = replace(request, path_observations=("1",), child_observations=("",))
    compare(saved(causal, tmp_path, ppm_observations=True), [request])


def test_a_head_of_the_released_code_is_served(causal: Path, tmp_path: Path) -> None:
    for file in causal.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = {"v_head.weight": torch.randn(1, 64), "v_head.bias": torch.tensor([0.7])}
    torch.save(state, tmp_path / "value_head.bin")
    compare(tmp_path, REQUESTS)


def test_the_choice_between_two_tokens_is_served(causal: Path) -> None:
    compare(causal, REQUESTS, ScoreSpec(weights="lm_head", labels=("-", "+"), aggregate="min"))


def test_a_head_of_two_layers_is_refused(causal: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in causal.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights |= {"score.0.weight": torch.randn(64, 64), "score.0.bias": torch.randn(64)}
    weights |= {"score.2.weight": torch.randn(2, 64), "score.2.bias": torch.randn(2)}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ScoreError, match=r"head of one linear layer.*PackedScorer takes it"):
        VLLMScorer(tmp_path, spec=ScoreSpec(weights="score"))


def test_what_cannot_be_scored_fails_alone(causal: Path, tmp_path: Path) -> None:
    long = request_of(0, "Q", [], "x" * 500, "y")
    _, found = compare(saved(causal, tmp_path), [long, request_of(1, "Q", [], "x")])
    assert "the PPM takes at most 400" in str(found[0].error)
    assert len(found[1].values) == 1


def scale_norm(factor: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        with torch.no_grad():
            model.model.layers[0].input_layernorm.weight.mul_(factor)

    return change


def test_other_weights_give_other_scores(causal: Path, tmp_path: Path) -> None:
    scorer = VLLMScorer(saved(causal, tmp_path), cache_bytes=CACHE_BYTES)
    asked = [request_of(0, "long " * 20, [], "x = 1", "y")]
    first = scorer.score(asked)[0].values
    scorer.engine.apply_model(scale_norm(1.5))
    scorer.forget()
    encoded = scorer.stats.encoded_tokens
    assert np.abs(scorer.score(asked)[0].values - first).max() > TOLERANCE
    assert scorer.stats.encoded_tokens - encoded > len("long " * 20)
    scorer.engine.apply_model(scale_norm(float("nan")))
    scorer.forget()
    assert "not finite" in str(scorer.score(asked)[0].error)


def test_what_is_no_ppm_says_why(causal: Path, tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"expected a \*ForSequenceClassification with one label"):
        VLLMScorer(causal)
    folder = saved(causal, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "a", "1": "b"}
    config["label2id"] = {"a": 0, "b": 1}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ScoreError, match="expected one label, got 2"):
        VLLMScorer(folder)


@pytest.fixture(scope="module")
def searched() -> list[dict[str, Tree]]:
    """The trees of the same search twice, in one process."""
    # A draw that rambles is cut before the PPM finds it too long.
    config = SearchConfig(rollouts=3, candidates=4, max_step_tokens=64)
    found: list[dict[str, Tree]] = []
    others = len(vllm_engine._OPEN)
    for _ in range(2):
        with open_searcher(config, "vllm:embedded", "vllm:embedded", workers=1) as searcher:
            assert len(vllm_engine._OPEN) == others + 2
            told = _engines(searcher)
            assert told["policy"]["engine"] == "VLLMPolicy"
            assert told["ppm"]["engine"] == "VLLMScorer"
            assert told["policy"]["version"] == told["ppm"]["version"] == vllm.__version__
            found.append({})
            for tree in searcher.search(held_out_problems(8)):
                assert isinstance(tree, Tree)
                found[-1][tree.problem.key] = tree
        assert len(vllm_engine._OPEN) == others
    return found


def scores_of(tree: Tree) -> Any:
    return np.array([np.nan if node.score is None else node.score for node in tree.nodes])


def test_the_same_search_grows_the_same_trees(searched: list[dict[str, Tree]]) -> None:
    first, second = searched
    assert len(first) == 8 and first.keys() == second.keys()
    for key, tree in first.items():
        assert [(node.parent, node.text) for node in tree.nodes] == [
            (node.parent, node.text) for node in second[key].nodes
        ]
        assert scores_of(tree) == pytest.approx(scores_of(second[key]), abs=1e-4, nan_ok=True)
    assert sum(any(node.correct for node in tree.nodes) for tree in first.values()) > 4


def test_scores_in_a_search_are_those_of_the_packed_scorer(
    searched: list[dict[str, Tree]],
) -> None:
    trees = list(searched[0].values())
    packed = PackedScorer(PPM.from_pretrained(ppm_path(), device="cpu", dtype="float32"))
    for tree, scores in zip(trees, packed.score_trees(trees), strict=True):
        found = scores_of(tree)
        known = np.isfinite(found)
        assert known.sum() > 3
        assert np.abs(found - scores.values)[known].max() < TOLERANCE
