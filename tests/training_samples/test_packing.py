"""Packed samples give the loss and the gradients of the samples one by one."""

from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from tiny_models import byte_tokenizer
from torch import Tensor

from rstar_fast.errors import DataError
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.marks import MARKS
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import Problem
from rstar_fast.training_samples import PackedSamples, Sample, pack_samples, samples
from rstar_fast.tree import Node, Tree, path_to

CLIP = 0.2


@pytest.fixture(scope="module")
def found() -> list[Sample]:
    """Samples of a tree with an observation, of eight leaves at two depths."""
    tokenizer = byte_tokenizer(MARKS)
    random = np.random.default_rng(0)
    nodes = [Node(0, -1, 0)]

    def grow(parent: int, text: str, leaf: bool) -> int:
        before = "".join(one.text for one in path_to(nodes, parent))
        node = Node(len(nodes), parent, nodes[parent].depth + 1, text)
        node.token_ids = tokenizer(text).input_ids
        # The same token behind the same text was drawn with the same probability.
        node.logprobs = [
            -4 - crc32(f"{len(before)}{node.token_ids[:end]}".encode()) % 100 / 100
            for end in range(1, len(node.token_ids) + 1)
        ]
        if leaf:
            node.end, node.answer, node.correct = "answer", "1", bool(random.random() < 0.5)
        nodes.append(node)
        return node.id

    for i in range(2):
        first = grow(0, f"<code>\nx = {i}<end_of_code>", False)
        nodes[first].suffix = f"\n<output>{i}<end_of_output>"
        grow(first, f"<answer>{i}<end_of_answer>", True)
        second = grow(first, f"<code>\ny = {i}<end_of_step>", False)
        for j in range(3):
            grow(second, f"<answer>\\boxed{{{j}}}<end_of_answer>", True)
    tree = Tree(Problem("p", "How many?", ("1",)), nodes)
    return samples(tree, PrefixTokens(tokenizer, "finetuned"), credit="group")


class Model(torch.nn.Module):
    """A decoder of one layer in float64, over plain sequences or over packed trees."""

    def __init__(self, vocabulary: int, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(vocabulary, width)
        self.places = torch.nn.Embedding(512, width)
        self.attend = torch.nn.Linear(width, 3 * width)
        self.head = torch.nn.Linear(width, vocabulary)
        self.double()

    def forward(self, tokens: Any, position: Any, layout: TreeLayout) -> Tensor:
        ids, at = (torch.as_tensor(np.array(one)).long() for one in (tokens, position))
        hidden = self.embed(ids) + self.places(at)
        query, key, value = self.attend(hidden)[None].chunk(3, -1)
        seen = tree_attention(query, key, value, layout, impl="reference")[0]
        logprobs: Tensor = self.head(hidden + seen).log_softmax(-1)
        return logprobs


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(len(byte_tokenizer(MARKS)))


def clipped(ratio: Tensor, advantage: Tensor) -> Tensor:
    return torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)


def by_path(model: Model, found: list[Sample], weights: list[float]) -> Tensor:
    """A clipped objective with an entropy term, summed over the samples one by one."""
    total = torch.zeros((), dtype=torch.float64)
    for one, weight in zip(found, weights, strict=True):
        ids = np.array(one.prompt_ids + one.completion_ids, np.int32)
        position = np.arange(len(ids), dtype=np.int32)
        layout = TreeLayout(np.full(len(ids), len(ids), np.int32), position)
        logprobs = model(ids, position, layout)
        begin = len(one.prompt_ids)
        before = logprobs[begin - 1 : -1]
        own = before.gather(1, torch.as_tensor(ids[begin:, None]).long())[:, 0]
        mask, advantages, old = (
            torch.tensor(values, dtype=torch.float64)
            for values in (one.mask, one.advantages, one.logprobs)
        )
        entropy = -(before.exp() * before).sum(1)
        objective = clipped((own - old).exp(), advantages) + 0.1 * entropy
        total = total + weight * (objective * mask).sum()
    return total


def by_pack(model: Model, packed: PackedSamples) -> Tensor:
    """The same over packed tokens."""
    tokens = packed.packed.tokens
    logprobs = model(tokens, packed.packed.position, TreeLayout.of(packed.packed))
    drawn = np.flatnonzero(packed.weight)
    before = logprobs[packed.before[drawn]]
    own = before.gather(1, torch.as_tensor(np.array(tokens[drawn, None])).long())[:, 0]
    assert packed.logprobs is not None
    weight, positive, negative, old = (
        torch.from_numpy(values[drawn])
        for values in (packed.weight, packed.positive, packed.negative, packed.logprobs)
    )
    ratio = (own - old).exp()
    entropy = -(before.exp() * before).sum(1)
    return (clipped(ratio, positive) + clipped(ratio, negative) + 0.1 * weight * entropy).sum()


@pytest.mark.parametrize("own_weights", [False, True])
def test_loss_and_gradients_are_the_same(
    model: Model, found: list[Sample], own_weights: bool
) -> None:
    weights = [1 / sum(one.mask) for one in found] if own_weights else [1.0] * len(found)
    packed = pack_samples(found, weights if own_weights else None)
    losses, gradients = [], []
    for loss in (by_path(model, found, weights), by_pack(model, packed)):
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        gradients.append([one.grad.clone() for one in model.parameters() if one.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    for plain, of_pack in zip(*gradients, strict=True):
        assert (plain - of_pack).abs().max() < 1e-12 * max(1.0, float(plain.abs().max()))
    assert packed.num_sample_tokens > 2.5 * len(packed.packed.tokens)


def test_each_token_stands_once(found: list[Sample]) -> None:
    packed = pack_samples(found)
    sequences = [one.prompt_ids + one.completion_ids for one in found]
    prefixes = {one[:end] for one in sequences for end in range(1, len(one) + 1)}
    assert len(packed.packed.tokens) == len(prefixes)
    assert packed.weight.sum() == sum(sum(one.mask) for one in found)
    assert packed.advantage.sum() == pytest.approx(sum(sum(one.advantages) for one in found))
    # All eight begin with the same tokens, and none has drawn the prompt.
    assert packed.weight.max() == 8 and packed.weight.min() == 0


def test_bad_input_is_refused(found: list[Sample]) -> None:
    with pytest.raises(DataError, match="at least one sample"):
        pack_samples([])
    with pytest.raises(DataError, match="expected 8 weights, one a sample, got 1"):
        pack_samples(found, [1.0])
    with pytest.raises(DataError, match="weights of at least 0"):
        pack_samples(found, [-1.0] * len(found))
    assert pack_samples([replace(found[0], logprobs=None), found[1]]).logprobs is None
