"""Trees and samples that no search makes, and the deepest one that it may make."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from tiny_models import byte_tokenizer

from rstar_fast.errors import DataError
from rstar_fast.marks import MARKS
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import Problem
from rstar_fast.training_samples import Credit, Sample, choose_leaves, pack_samples, samples
from rstar_fast.tree import Node, Tree

TOKENIZER = byte_tokenizer(MARKS)
PREFIX = PrefixTokens(TOKENIZER, "finetuned")


def tree_of(*steps: tuple[int, str, bool | None]) -> Tree:
    """A tree of steps: the parent, the text, and whether its answer is right or it has none."""
    nodes = [Node(0, -1, 0)]
    for parent, text, correct in steps:
        node = Node(len(nodes), parent, nodes[parent].depth + 1, text)
        node.token_ids = TOKENIZER(text).input_ids
        node.logprobs = [-1.0] * len(node.token_ids)
        if correct is not None:
            node.end, node.answer, node.correct = "answer", "1", correct
        nodes.append(node)
    return Tree(Problem("p", "How many?", ("1",)), nodes)


def two_answers() -> Tree:
    return tree_of((0, "<answer>1<end_of_answer>", True), (0, "<answer>2<end_of_answer>", False))


@pytest.mark.parametrize("credit", get_args(Credit))
def test_a_tree_without_a_step_has_no_samples(credit: Credit) -> None:
    for end in ("", "stuck", "budget"):
        tree = tree_of()
        tree.nodes[0].end = end
        assert samples(tree, PREFIX, credit=credit) == [] == choose_leaves(tree, 2)


def test_the_deepest_path_of_a_search_is_a_sample() -> None:
    steps = [(i, "x<end_of_step>", None) for i in range(1023)]
    (one,) = samples(tree_of(*steps, (1023, "<answer>1<end_of_answer>", True)), PREFIX)
    assert sum(one.mask) == len(one.mask) > 2 * 1023


def test_log_probabilities_are_of_the_token_ids() -> None:
    tree = two_answers()
    tree.nodes[1].logprobs = [-1.0, -2.0]
    with pytest.raises(DataError, match=r"node 1: expected a log-probability for each of \d+ .* 2"):
        samples(tree, PREFIX)


@pytest.mark.parametrize("reward", [math.nan, math.inf, None, "1"])
def test_rewards_are_finite_numbers(reward: Any) -> None:
    with pytest.raises(DataError, match="node 1: reward: expected a finite number, got"):
        samples(two_answers(), PREFIX, reward=lambda leaf: reward)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: {"advantages": one.advantages[:1]}, "of one length"),
        (lambda one: {"mask": (*one.mask, 1)}, "of one length"),
        (lambda one: {"logprobs": one.logprobs[1:]}, "of one length"),
        (lambda one: {"versions": ()}, "of one length"),
        (lambda one: {"prompt_ids": (2**40,)}, "31 bits, got 1099511627776"),
        (lambda one: {"prompt_ids": (5, -3)}, "31 bits, got -3"),
        (lambda one: {"advantages": (math.nan,) * len(one.mask)}, "finite advantages"),
        (lambda one: {"logprobs": (-math.inf,) * len(one.mask)}, "finite advantages"),
        (
            lambda one: dict.fromkeys(
                ("prompt_ids", "completion_ids", "logprobs", "mask", "advantages", "versions"), ()
            ),
            "31 bits, got none",
        ),
    ],
)
def test_samples_that_cannot_be_packed(
    change: Callable[[Sample], dict[str, Any]], message: str
) -> None:
    good, bad = samples(two_answers(), PREFIX)
    with pytest.raises(DataError, match=f"pack_samples: sample 1: .*{message}"):
        pack_samples([good, replace(bad, **change(bad))])


def test_tokens_that_other_weights_drew_stand_for_themselves() -> None:
    old, _ = samples(two_answers(), PREFIX)
    length = len(old.mask)
    new = replace(old, versions=(1,) * length, logprobs=(-2.0,) * length)
    packed = pack_samples([old, new])
    assert len(packed.packed.tokens) == len(old.prompt_ids) + 2 * length
    assert packed.logprobs is not None
    drawn = packed.logprobs[packed.weight > 0]
    assert sorted(drawn) == [-2.0] * length + [-1.0] * length
