"""The packed scorer gives the scores of one text at a time, whatever the batch and the budget.

Every token goes through the model once.
"""

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ppm_cases import REQUESTS, make_policy, plain_scores, request_of
from trees import small_tree

from rstar_fast.errors import ScoreError
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.steps import Segment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_policy(tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def ppm(folder: Path) -> PPM:
    return PPM.from_policy(folder, device="cpu")


@pytest.mark.parametrize(
    ("batch_tokens", "cache_bytes"), [(16384, None), (1, None), (100, 20_000), (100, 0), (16384, 0)]
)
def test_scores_are_the_plain_ones_whatever_batch_and_budget(
    ppm: PPM, batch_tokens: int, cache_bytes: int | None
) -> None:
    scorer = PackedScorer(ppm, batch_tokens, cache_bytes)
    ppm.model.config.ppm_bias, ppm.model.config.ppm_scale = -0.3, 2.0
    expected = {request.id: plain_scores(ppm, request) for request in REQUESTS}
    assert np.ptp(expected[2]) > 1e-2
    for requests in (REQUESTS, REQUESTS[::-1], REQUESTS[2:3]):
        for found, request in zip(scorer.score(requests), requests, strict=True):
            assert found.error is None and found.request_id == request.id
            assert found.values.dtype == np.float64 and found.values.shape == (
                len(request.children),
            )
            np.testing.assert_allclose(found.values, expected[request.id], atol=1e-5, rtol=0)
        assert scorer.kept_bytes <= scorer.cache_bytes
        assert scorer.kept_bytes == sum(
            node.kv.nbytes for node in scorer._prefixes.kept() if node.kv is not None
        )


def as_bytes(*logprobs: float) -> bytes:
    return array("f", logprobs).tobytes()


def test_the_likelihood_of_a_path_is_added_before_the_squash(ppm: PPM) -> None:
    ppm.model.config.ppm_scale = 5.0
    plain = PackedScorer(ppm).score(REQUESTS[:1])[0].values
    ppm.model.config.ppm_likelihood = 0.5
    scorer = PackedScorer(ppm)
    told = replace(REQUESTS[0], child_logprobs=(as_bytes(-0.25), as_bytes(-5.0, -3.0)))
    assert told.logprobs == (-0.25, -8.0)
    found, untold, not_all = scorer.score(
        [told, REQUESTS[0], replace(told, child_logprobs=(as_bytes(-1.0), b""))]
    )
    expected = np.tanh(np.arctanh(plain) + 0.5 * np.array([-0.25, -8.0]) / 5)
    np.testing.assert_allclose(found.values, expected, atol=1e-6, rtol=0)
    for other in (untold, not_all):
        assert (
            other.error is not None
            and "log-probabilities of the policy" in other.error
            and not len(other.values)
        )


def test_trees_and_searches_add_the_same_likelihood(ppm: PPM) -> None:
    ppm.model.config.ppm_likelihood = 1.0
    tree = small_tree()
    scorer = PackedScorer(ppm)
    assert "log-probabilities" in (scorer.score_trees([tree])[0].error or "")
    for node in tree.nodes[1:]:
        node.logprobs = (-0.5, -0.125 * node.id)
    (whole,) = scorer.score_trees([tree])
    assert whole.error is None
    for parent in tree.nodes:
        children = tree.children(parent.id)
        if children:
            path = tree.path(parent.id)
            request = request_of(
                0,
                tree.problem.question,
                [node.text for node in path],
                *(child.text for child in children),
            )
            told = replace(
                request,
                path_logprobs=tuple(node.logprob_bytes for node in path),
                child_logprobs=tuple(child.logprob_bytes for child in children),
            )
            (found,) = scorer.score([told])
            np.testing.assert_allclose(
                found.values, whole.values[[child.id for child in children]], atol=1e-6, rtol=0
            )


def test_going_down_a_tree_encodes_every_token_once(ppm: PPM) -> None:
    scorer = PackedScorer(ppm)
    path: list[Segment] = []
    distinct = len(scorer._texts.pieces("q", [])[0])
    for depth in range(4):
        children = tuple(f"step {depth}.{i}" + "<end_of_step>" for i in range(5))
        request = replace(request_of(depth, "q", [], *children), path=tuple(path))
        (found,) = scorer.score([request])
        np.testing.assert_allclose(found.values, plain_scores(ppm, request), atol=1e-5, rtol=0)
        distinct += sum(len(scorer._texts.pieces("q", [child])[1]) for child in children)
        path.append(Segment(children[2]))
    assert scorer.stats.encoded_tokens == distinct and scorer.stats.forwards == 4


def test_batches_keep_to_the_token_budget(ppm: PPM, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    forward = PackedModel.forward

    def watch(self: PackedModel, packed: Any, batch: Any, index: Any) -> Any:
        sizes.append(batch.layout.num_queries)
        return forward(self, packed, batch, index)

    assert PackedScorer(ppm).batch_tokens == (16_384 if torch.cuda.is_available() else 2_048)
    scorer = PackedScorer(ppm, batch_tokens=250)
    monkeypatch.setattr(PackedModel, "forward", watch)
    scorer.score([request for request in REQUESTS if len(request.question) < 20])
    assert len(sizes) > 1 and max(sizes) <= 250


def test_the_tokens_of_the_policy_make_no_difference_and_texts_are_read_once(ppm: PPM) -> None:
    texts: list[str] = []
    tokenizer = ppm.tokenizer

    class Watch:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, text: str, **options: bool) -> Any:
            texts.append(text)
            return tokenizer(text, **options)

    ppm.tokenizer = Watch()
    scorer = PackedScorer(ppm)
    texts.clear()
    request = request_of(0, "q", ["step"], "x")
    first, second = scorer.score([request, replace(request, path=(Segment("step", (1, 2, 3)),))])
    assert first.values == second.values
    scorer.score([request])
    assert len(texts) == len(set(texts)) == 3


def test_an_answer_leaves_nothing(ppm: PPM) -> None:
    scorer = PackedScorer(ppm)
    scorer.score([request_of(0, "q", [], "goes on", "ends<end_of_answer>")])
    assert {
        node.num_tokens - node.parent.num_tokens for node in scorer._prefixes.kept() if node.parent
    } == {
        len(scorer._texts.pieces("q", [])[0]),
        len("goes on"),
    }


@pytest.mark.parametrize("batch_tokens", [16384, 60])
def test_whole_trees(ppm: PPM, batch_tokens: int) -> None:
    trees = [small_tree("a"), small_tree("b", answer="7")]
    scorer = PackedScorer(ppm, batch_tokens)
    for tree, found in zip(trees, scorer.score_trees(trees), strict=True):
        assert found.error is None and found.values.shape == (len(tree.nodes),)
        for node in tree.nodes[1:]:
            request = request_of(0, tree.problem.question, [tree.text(node.parent)], node.text)
            assert found.values[node.id] == pytest.approx(plain_scores(ppm, request)[0], abs=1e-5)
    texts = {
        (tree.problem.question, tree.text(node.id)): node.text
        for tree in trees
        for node in tree.nodes
    }
    distinct = sum(
        len(scorer._texts.pieces("", [text])[1]) for (_, whole), text in texts.items() if whole
    )
    distinct += sum(
        len(scorer._texts.pieces(question, [])[0])
        for question in {question for question, _ in texts}
    )
    assert scorer.stats.encoded_tokens == distinct
    assert not list(scorer._prefixes.kept())


def test_a_bad_request_fails_alone(ppm: PPM) -> None:
    ppm.tokenizer.add_tokens([f"<new{i}>" for i in range(20)])
    with torch.no_grad():
        ppm.model.get_input_embeddings().weight[ppm.tokenizer("~").input_ids[0]] = float("nan")
    bad = [
        request_of(7, "q", ["x" * 200], "y" * 200),
        request_of(8, "q", [], "<new19>"),
        request_of(9, "How many?", [], "a", "~"),
    ]
    found = PackedScorer(ppm).score([*bad[:2], REQUESTS[1], bad[2], REQUESTS[2]])
    assert [scores.error for scores in found[:2]] == [
        f"the solution has {400 + prompt_tokens(ppm)} tokens; the PPM takes at most 400",
        "the tokenizer gave token id 283 ('<new19>'); the model has embeddings for ids below 270",
    ]
    assert found[3].error == "the PPM's score is nan" and not len(found[3].values)
    for scores, request in zip((found[2], found[4]), REQUESTS[1:3], strict=True):
        np.testing.assert_allclose(scores.values, plain_scores(ppm, request), atol=1e-5, rtol=0)


def prompt_tokens(ppm: PPM) -> int:
    return len(PackedScorer(ppm)._texts.pieces("q", [])[0])


@pytest.mark.parametrize("memory_tokens", [200, 130])
def test_out_of_memory_halves_the_batch(
    ppm: PPM, monkeypatch: pytest.MonkeyPatch, memory_tokens: int
) -> None:
    scorer = PackedScorer(ppm)
    forward = PackedModel.forward

    def in_little_memory(self: PackedModel, packed: Any, batch: Any, index: Any) -> Any:
        if batch.layout.num_queries > memory_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, packed, batch, index)

    monkeypatch.setattr(PackedModel, "forward", in_little_memory)
    answers = scorer.score(REQUESTS)
    assert any(answer.error is None and len(answer.values) for answer in answers)
    for answer, request in zip(answers, REQUESTS, strict=True):
        if answer.error is None:
            np.testing.assert_allclose(answer.values, plain_scores(ppm, request), atol=1e-5, rtol=0)
        else:
            assert "out of memory with one solution of" in answer.error


def test_other_errors_are_raised_and_bad_options_refused(
    ppm: PPM, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PackedScorer(ppm).score([]) == [] and PackedScorer(ppm).score_trees([]) == []
    with pytest.raises(ScoreError, match="batch_tokens: expected at least 1, got 0"):
        PackedScorer(ppm, batch_tokens=0)
    with pytest.raises(ScoreError, match="cache_bytes: expected at least 0, got -1"):
        PackedScorer(ppm, cache_bytes=-1)
    scorer = PackedScorer(ppm)

    def broken(*arguments: Any) -> Any:
        raise RuntimeError("device lost")

    monkeypatch.setattr(PackedModel, "forward", broken)
    with pytest.raises(RuntimeError, match="device lost"):
        scorer.score(REQUESTS)
