"""Particle filtering by PPM scores."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from step_lengths import Lengths, plain, trees

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.search.particles import MAX_SCORE
from rstar_fast.tree import Tree

OPTIONS: dict[str, Any] = {"strategy": "particles", "candidates": 8}


def levels(tree: Tree) -> list[Counter[int]]:
    """Return how many children each node of each level has."""
    by_depth: dict[int, Counter[int]] = {}
    for node in tree.nodes[1:]:
        by_depth.setdefault(node.depth, Counter())[node.parent] += 1
    return [by_depth[depth] for depth in sorted(by_depth)]


def test_every_particle_goes_one_step_at_a_time() -> None:
    for tree in trees(Lengths(), 6, **OPTIONS).values():
        answered = 0
        for depth, children in enumerate(levels(tree)):
            assert sum(children.values()) == OPTIONS["candidates"] - answered
            answered += sum(node.end == "answer" for node in tree.nodes if node.depth == depth + 1)
        assert tree.ended == "paths"


class Steps(Lengths):
    """Writes numbered steps, and scores them by a rule."""

    def __init__(self, score: Any) -> None:
        super().__init__()
        self.rule = score

    def expand(self, request: ExpandRequest) -> Expansion:
        depth = len(request.path)
        steps = tuple(
            Candidate(
                f"\nx = {i}<end_of_step>" if depth < 3 else f"\n<answer>$\\boxed{{{i}}}$", (1, 2)
            )
            for i in range(request.num_candidates)
        )
        return Expansion(request.id, steps)

    def score(self, request: Any) -> Scores:
        return Scores(request.id, np.array([self.rule(child) for child in request.children]))


def test_better_steps_are_drawn_more_often() -> None:
    # Odds of 3 against 1 each: 3 in 10 of the steps get half of the particles or more.
    (tree,) = trees(Steps(lambda step: 0.5 if "x = 0" in step else -0.5), 1, **OPTIONS).values()
    first, second = levels(tree)[:2]
    assert first == {0: 8}
    # The shares are 9 / 16 for the good step, 1 / 16 for each other.
    assert second[1] in (4, 5) and all(second[node] <= 1 for node in range(2, 9))


def test_equal_scores_keep_every_particle() -> None:
    for score in (-1.0, 0.0, 1.0):
        (tree,) = trees(Steps(lambda _, score=score: score), 1, **OPTIONS).values()
        assert all(count == 1 for counts in levels(tree)[1:] for count in counts.values())
        assert len(tree.finals()) == 8


def test_no_score_rules_a_particle_out_for_good() -> None:
    assert 0 < 1 - MAX_SCORE < 0.01
    (tree,) = trees(Steps(lambda step: 1.0 if "x = 3" in step else -1.0), 1, **OPTIONS).values()
    assert levels(tree)[1] == {4: 8} and len(tree.finals()) == 8


def test_a_node_with_several_particles_gets_different_steps() -> None:
    (tree,) = trees(Steps(lambda step: 1.0 if "x = 3" in step else -1.0), 1, **OPTIONS).values()
    children = [node.step for node in tree.nodes if node.parent == 4]
    assert len(set(children)) == 8


def test_same_seed_same_particles() -> None:
    first = {key: plain(tree) for key, tree in trees(Lengths(), 4, **OPTIONS).items()}
    again = trees(Lengths(), 4, lambda requests: requests.pop(0), **OPTIONS)
    assert {key: plain(tree) for key, tree in again.items()} == first
    other = trees(Lengths(), 4, **OPTIONS, seed=1)
    assert {key: plain(tree) for key, tree in other.items()} != first


def test_particles_need_scores() -> None:
    with pytest.raises(ConfigError, match="'particles' goes by the scores of steps"):
        SearchConfig(strategy="particles", use_scores=False)
