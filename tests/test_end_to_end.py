"""The whole engine on the embedded model: real decoding, real programs, real grades."""

from typing import Any

import pytest
import torch

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems, policy_path, ppm_path
from rstar_fast.policy import TransformersPolicy
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.search import Searcher
from rstar_fast.tree import Tree
from rstar_fast.verify import Executor

PROBLEMS = held_out_problems(5, seed=11)


def search(
    max_rows: int,
    workers: int,
    batch_tokens: int = 16384,
    cache_bytes: int | None = None,
    **options: Any,
) -> dict[str, Tree]:
    config = SearchConfig.preset(
        "fast", **{"candidates": 4, "max_depth": 8, "max_step_tokens": 40, **options}
    )
    policy = TransformersPolicy(policy_path(), dtype=torch.float32, max_rows=max_rows)
    scorer = (
        PackedScorer(PPM.from_pretrained(ppm_path(), dtype="float32"), batch_tokens, cache_bytes)
        if config.use_scores
        else None
    )
    with (
        Executor(workers=workers) as runner,
        Searcher(policy, config, scorer, runner=runner) as searcher,
    ):
        trees = list(searcher.search(PROBLEMS))
    assert all(isinstance(tree, Tree) for tree in trees), trees
    return {tree.problem.id: tree for tree in trees if isinstance(tree, Tree)}


@pytest.mark.slow
def test_same_seed_same_trees_whatever_the_batch_and_the_workers() -> None:
    first = search(max_rows=64, workers=2, max_active=64)
    for max_rows, workers, batch_tokens, cache_bytes, max_active in (
        (1, 1, 100, 0, 1),
        (7, 4, 1000, 1 << 20, 3),
    ):
        again = search(max_rows, workers, batch_tokens, cache_bytes, max_active=max_active)
        assert again.keys() == first.keys()
        for problem_id, tree in first.items():
            for one, other in zip(tree.nodes, again[problem_id].nodes, strict=True):
                for field in (
                    "parent",
                    "text",
                    "token_ids",
                    "observation",
                    "status",
                    "end",
                    "answer",
                    "correct",
                    "visits",
                ):
                    assert getattr(one, field) == getattr(other, field), (problem_id, one.id, field)
                assert other.q == pytest.approx(one.q, abs=1e-4)
                assert other.logprobs == pytest.approx(one.logprobs, abs=1e-3)


def test_trees_hold_what_was_done() -> None:
    trees = search(max_rows=16, workers=2)
    nodes = [node for tree in trees.values() for node in tree.nodes[1:]]
    assert any(node.end == "answer" for node in nodes)
    for node in nodes:
        assert len(node.token_ids) == len(node.logprobs) > 0 and max(node.logprobs) <= 0
        assert (node.observation is None) == (node.end in ("answer", "stuck"))
        assert node.score is not None or node.end in ("errors", "depth", "stuck")
    for tree in trees.values():
        assert tree.counts["generated_tokens"] >= sum(len(node.token_ids) for node in tree.nodes)
        assert tree.counts["run_requests"] == sum(
            node.observation is not None for node in tree.nodes
        )


def test_greedy_and_ground_truth_need_no_ppm() -> None:
    (tree, *_) = search(
        max_rows=8, workers=1, strategy="greedy", candidates=1, temperature=0.0, use_scores=False
    ).values()
    assert [node.parent for node in tree.nodes] == list(range(-1, len(tree.nodes) - 1))
    trees = search(
        max_rows=16, workers=1, use_scores=False, annotate_terminals_with_ground_truth=True
    )
    values = {node.q for tree in trees.values() for node in tree.nodes if node.end == "answer"}
    assert values and values <= {1.0, -1.0}
