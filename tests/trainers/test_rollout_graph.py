"""Trees as rollout graphs of verifiers, and back."""

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hot_search import hot_trees
from scripted_engines import problems, searcher
from tiny_models import byte_tokenizer
from verifiers.v1 import WireTrace

from rstar_fast.embedded import policy_path
from rstar_fast.errors import ConfigError, DataError, StoreError
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.trainers.rollout_graph import trace_of, tree_of
from rstar_fast.training_samples import samples
from rstar_fast.tree import Tree


def test_a_thousand_trees_come_back() -> None:
    prefix = PrefixTokens(byte_tokenizer(), "finetuned")
    count = 0
    for i, tree in enumerate(searcher(max_active=64).search(problems(1000))):
        assert isinstance(tree, Tree)
        trace = trace_of(tree, prefix)
        assert tree_of(trace) == tree
        assert trace.num_branches == len(tree.nodes) - len({node.parent for node in tree.nodes[1:]})
        if i % 20 == 0:
            line = json.dumps(trace.to_record(float_decimals=None))
            assert tree_of(WireTrace.model_validate_json(line)) == tree
        count += 1
    assert count == 1000


def test_branches_are_samples_and_count_each_step_by_its_share() -> None:
    """On real trees, with marks in wrong places and steps that their descendants read anew."""
    prefix = PrefixTokens(load_tokenizer(policy_path()), "finetuned")
    some_inexact = False
    for tree in hot_trees():
        trace = trace_of(tree, prefix, end="eos")
        assert tree_of(trace) == tree
        some_inexact |= not all(node.exact for node in tree.nodes)
        found = samples(tree, prefix, end="eos")
        branches = Counter(
            (tuple(one.token_ids), tuple(one.sampled_mask), tuple(one.logprobs))
            for one in trace.branches
        )
        for one in found:
            ids = one.prompt_ids + one.completion_ids
            none = (0,) * len(one.prompt_ids)
            mask = tuple(map(bool, none + one.mask))
            assert branches[ids, mask, none + (one.logprobs or ())]
        expected: Counter[tuple[int, ...]] = Counter()
        for one in found:
            for i, advantage in enumerate(one.advantages):
                prefix_ids = one.prompt_ids + one.completion_ids[: i + 1]
                expected[prefix_ids] += one.share * advantage * trace.num_branches
        summed: Counter[tuple[int, ...]] = Counter()
        for branch in trace.branches:
            for i, advantage in enumerate(branch.advantages or []):
                summed[tuple(branch.token_ids[: i + 1])] += advantage
        for ids in expected.keys() | summed.keys():
            assert summed[ids] == pytest.approx(expected[ids], abs=1e-9)
        assert trace.reward == pytest.approx(sum(one.share * one.reward for one in found))
    assert some_inexact


DAMAGES: list[Callable[[Any, Any], object]] = [
    lambda rows, nodes: rows.clear(),
    lambda rows, nodes: rows.append("ab"),
    lambda rows, nodes: rows.append(None),
    lambda rows, nodes: rows[1].update(at=-1),
    lambda rows, nodes: rows[1].update(at="1"),
    lambda rows, nodes: rows[1].update(at=10**30),
    lambda rows, nodes: rows[1].update(parent=1),
    lambda rows, nodes: rows[1].update(draws=0),
    lambda rows, nodes: rows[1].pop("shown"),
    lambda rows, nodes: setattr(nodes[1], "mask", [True]),
    lambda rows, nodes: setattr(nodes[1], "logprobs", [1e300]),
    lambda rows, nodes: setattr(nodes[1], "logprobs", ["x"]),
    lambda rows, nodes: setattr(nodes[1], "logprobs", [math.nan]),
    lambda rows, nodes: setattr(nodes[1].message, "content", [{"type": "text", "text": "x"}]),
    lambda rows, nodes: setattr(nodes[1], "token_ids", [2**40] * len(nodes[1].token_ids)),
]
"""Changes of the record of a tree and of the messages that it refers to."""


def test_what_is_no_tree_is_refused() -> None:
    prefix = PrefixTokens(byte_tokenizer(), "finetuned")
    (tree,) = searcher().search(problems(1))
    assert isinstance(tree, Tree)
    with pytest.raises(ConfigError, match="credit: expected one of"):
        trace_of(tree, prefix, credit="outcome")  # type: ignore[arg-type]
    for damage in DAMAGES:
        trace = trace_of(tree, prefix)
        damage(trace.info["rstar_fast"]["nodes"], trace.nodes)
        with pytest.raises((DataError, StoreError)):
            tree_of(trace)
    trace = trace_of(tree, prefix)
    trace.nodes = trace.nodes[:2]
    with pytest.raises(DataError, match="its messages are not those of its tree"):
        tree_of(trace)
    trace.info.clear()
    with pytest.raises(DataError, match="expected one that holds a tree"):
        tree_of(trace)
