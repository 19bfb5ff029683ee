"""Searches by the embedded policy that draw some nonsense."""

from typing import Any

import torch

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import policy_path
from rstar_fast.policy import TransformersPolicy
from rstar_fast.problems import read_problems
from rstar_fast.search import Searcher
from rstar_fast.tree import Tree

HOT = SearchConfig(
    candidates=4,
    rollouts=6,
    max_depth=8,
    max_step_tokens=40,
    temperature=1.6,
    use_scores=False,
    annotate_terminals_with_ground_truth=True,
)
"""Options under which marks come in wrong places, and ends of text in the middle."""


def hot_trees(**changes: Any) -> list[Tree]:
    torch.set_num_threads(1)
    policy = TransformersPolicy(policy_path(), device="cpu", dtype="float32")
    with Searcher(policy, config=HOT.with_changes(**changes)) as searcher:
        ended: list[Any] = list(searcher.search(read_problems("graded:held_out:2")))
    return ended
