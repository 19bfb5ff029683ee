"""Log-probabilities of finished trees under a policy, against what the policy itself reported."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hot_search import hot_trees
from tiny_models import byte_tokenizer, tiny_model

from rstar_fast.embedded import base_path, policy_path
from rstar_fast.errors import PolicyError
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.training.policy_logprobs import policy_logprobs
from rstar_fast.tree import Tree, total_logprob


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    return hot_trees(rollouts=2) + hot_trees(rollouts=2, temperature=2.0)


def loaded(name: Any) -> tuple[Any, Any]:
    return load(name, torch.float32, torch.device("cpu")), load_tokenizer(name)


def test_a_policy_gets_what_it_reported_for_its_own_draws(trees: list[Tree]) -> None:
    found = policy_logprobs(*loaded(policy_path()), trees)
    # A backslash may be read as the beginning of an escaped mark, where the text is cut otherwise.
    nodes = [
        (node, got[node.id])
        for tree, got in zip(trees, found, strict=True)
        for node in tree.nodes[1:]
        if not any("\\" in step.text for step in tree.path(node.id))
    ]
    assert len(nodes) > 100 and {node.exact for node, _ in nodes} == {True, False}
    for node, logprob in nodes:
        error = abs(logprob - total_logprob(node.logprob_bytes)) / len(node.token_ids)
        assert error < 1e-3, (node.step, node.finish)


def test_only_some_nodes_may_be_asked_for(trees: list[Tree]) -> None:
    model, tokenizer = loaded(policy_path())
    every = policy_logprobs(model, tokenizer, trees)
    wanted = [[tree.nodes[-1].id] if i % 2 else [] for i, tree in enumerate(trees)]
    some = policy_logprobs(model, tokenizer, trees, wanted)
    assert [set(found) for found in some] == list(map(set, wanted))
    for few, all_of_them in zip(some, every, strict=True):
        assert few == pytest.approx({node: all_of_them[node] for node in few}, abs=1e-3)


def test_another_policy_gives_other_values_and_needs_no_token_ids(trees: list[Tree]) -> None:
    (own,) = policy_logprobs(*loaded(policy_path()), trees[:1])
    (others,) = policy_logprobs(*loaded(base_path()), trees[:1])
    assert own.keys() == others.keys() and own != pytest.approx(others, abs=0.1)
    # Text has the same tokens where the policy drew the usual ones, and marks nothing falsely.
    bare = Tree(trees[0].problem, [replace(node, id_bytes=b"") for node in trees[0].nodes])
    model, tokenizer = loaded(policy_path())
    (by_text,) = policy_logprobs(model, tokenizer, [bare])
    first = [
        node.id
        for node in trees[0].nodes
        if node.depth == 1
        and node.exact
        and "\\" not in node.step
        and tuple(tokenizer(node.step, add_special_tokens=False).input_ids) == node.token_ids
    ]
    assert first
    for node in first:
        assert by_text[node] == pytest.approx(own[node], abs=1e-3)


def test_ids_of_another_vocabulary_are_not_read_as_this_ones(trees: list[Tree]) -> None:
    tokenizer = byte_tokenizer()
    model = tiny_model("llama", tokenizer, spread=0.05, max_position_embeddings=2048)
    bare = Tree(trees[0].problem, [replace(node, id_bytes=b"") for node in trees[0].nodes])
    assert policy_logprobs(model, tokenizer, trees[:1]) == policy_logprobs(model, tokenizer, [bare])


def test_thinking_that_was_cut_off_is_not_read(trees: list[Tree]) -> None:
    model, tokenizer = loaded(policy_path())
    tree = trees[0]
    thought = [replace(node, exact=False) for node in tree.nodes]
    for node in thought[1:]:
        text = f"<think>I wonder</think>\n{node.step}" if node.id % 3 else "<think>Well"
        node.step = node.step if node.id % 3 else ""
        node.token_ids = tokenizer(text).input_ids
    bare = [replace(node, id_bytes=b"") for node in thought]
    found = policy_logprobs(
        model, tokenizer, [Tree(tree.problem, nodes) for nodes in (thought, bare)]
    )
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert all(found[0][node.id] == 0.0 for node in thought[1:] if not node.step)


def test_a_model_with_another_attention_is_refused() -> None:
    with pytest.raises(PolicyError, match="AttentionInterface"):
        policy_logprobs(torch.nn.Linear(1, 1), byte_tokenizer(), [])
