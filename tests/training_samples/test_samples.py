"""Samples of real searches, re-scored by the policy that wrote them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from ask_tell import Engine, drive
from hot_search import HOT, hot_trees
from tiny_models import byte_tokenizer, tiny_model

from rstar_fast.embedded import policy_path
from rstar_fast.errors import ConfigError, DataError
from rstar_fast.failure import Failure
from rstar_fast.marks import MARKS
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import (
    Candidate,
    ExpandRequest,
    Expansion,
    FunctionPolicy,
    TransformersPolicy,
)
from rstar_fast.policy.loading import load
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import Problem
from rstar_fast.prompts import PromptStyle
from rstar_fast.search import Search, Searcher
from rstar_fast.store.records import record_to_tree, tree_to_record
from rstar_fast.training_samples import Sample, samples
from rstar_fast.tree import Node, Tree


@pytest.fixture(scope="module")
def embedded() -> tuple[Any, Any]:
    return load(policy_path(), torch.float32, torch.device("cpu")), load_tokenizer(policy_path())


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    return hot_trees()


@torch.inference_mode()
def rescored(model: Any, sample: Sample) -> torch.Tensor:
    """The log-probability of each completion token, by a plain forward."""
    ids = torch.tensor([sample.prompt_ids + sample.completion_ids])
    logits = model(input_ids=ids).logits[0].float()
    every = logits[:-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return every[len(sample.prompt_ids) - 1 :]


def check_scores(model: Any, found: list[Sample], error: float = 2e-4) -> int:
    num_drawn = 0
    for one in found:
        assert one.logprobs is not None
        drawn = torch.tensor(one.mask, dtype=torch.bool)
        ours = torch.tensor(one.logprobs)
        assert (ours - rescored(model, one))[drawn].abs().max() < error
        assert not ours[~drawn].any()
        num_drawn += int(drawn.sum())
    return num_drawn


def is_odd(node: Node) -> bool:
    """Return whether the prompt may hold other tokens for a step than those that were drawn."""
    return not node.exact or "\\" in node.text or "<pad>" in node.text


def test_the_policy_gives_drawn_tokens_what_it_reported(
    embedded: tuple[Any, Any], trees: list[Tree]
) -> None:
    model, tokenizer = embedded
    prefix = PrefixTokens(tokenizer, "finetuned")
    finishes = set()
    for tree in trees:
        found = samples(tree, prefix)
        leaves = [tree.nodes[one.leaf] for one in found]
        finishes |= {leaf.finish for leaf in leaves}
        assert check_scores(model, found) > 100
        for one, leaf in zip(found, leaves, strict=True):
            # Others are those of observations, and of steps that are spelt anew.
            path = tree.path(leaf.id)
            drawn = sum(len(node.id_bytes) // 4 for node in path)
            anew = sum(len(node.id_bytes) // 4 for node in path if is_odd(node))
            assert drawn - anew <= sum(one.mask) <= drawn
    assert finishes >= {"mark", "eos"}


def test_the_mask_leaves_out_observations(embedded: tuple[Any, Any], trees: list[Tree]) -> None:
    prefix = PrefixTokens(embedded[1], "finetuned")
    seen = 0
    for tree in trees:
        for one in samples(tree, prefix):
            shown = [ids for ids, m in zip(one.completion_ids, one.mask, strict=True) if not m]
            text = prefix.spelt(shown)
            for node in tree.path(one.leaf)[:-1]:
                if node.suffix and "\\" not in node.suffix:
                    assert node.suffix in text
                    seen += 1
    assert seen > 10


def test_a_sample_says_where_it_branches(embedded: tuple[Any, Any], trees: list[Tree]) -> None:
    found = samples(trees[0], PrefixTokens(embedded[1], "finetuned"))
    assert found[0].branches_from is None and len(found) > 4
    for i, one in enumerate(found[1:], 1):
        assert one.branches_from is not None
        index, count = one.branches_from
        assert index < i
        other = found[index].completion_ids
        assert one.completion_ids[:count] == other[:count]
        assert one.completion_ids[count : count + 1] != other[count : count + 1]
    assert any(one.branches_from and one.branches_from[1] > 10 for one in found)


def test_a_finished_solution_ends_with_the_end_of_a_text_if_asked(
    embedded: tuple[Any, Any], trees: list[Tree]
) -> None:
    prefix = PrefixTokens(embedded[1], "finetuned")
    seen = set()
    for tree in trees:
        plain = samples(tree, prefix)
        for bare, one in zip(plain, samples(tree, prefix, end="eos"), strict=True):
            leaf = tree.nodes[one.leaf]
            added = len(one.completion_ids) - len(bare.completion_ids)
            seen.add((leaf.finish, one.finished, added))
            by_itself = leaf.end in ("errors", "stuck") and leaf.finish != "length"
            assert one.finished == (leaf.end == "answer" or by_itself)
            assert added == (one.finished and leaf.finish != "eos")
            if added:
                assert one.completion_ids[-1] == prefix.eos_id
                assert (one.mask[-1], one.advantages[-1]) == (0, 0.0)
            assert not one.finished or one.completion_ids[-1] == prefix.eos_id
    assert ("mark", True, 1) in seen


@pytest.mark.parametrize("prompt", ["finetuned", "few_shot"])
@pytest.mark.parametrize("specials", [MARKS, ()])
def test_any_prompt_and_tokenizer(prompt: PromptStyle, specials: tuple[str, ...]) -> None:
    tokenizer = byte_tokenizer(specials, [("e", "p"), (">", "\u010a")] if not specials else [])
    model = tiny_model("llama", tokenizer, spread=0.15, max_position_embeddings=8192)
    policy = TransformersPolicy(model, tokenizer, prompt=prompt)
    config = replace(HOT, prompt=prompt, rollouts=2, max_depth=3, max_step_tokens=12)
    with Searcher(policy, config=config) as searcher:
        (tree,) = searcher.search([Problem("p", "How many?", ("3",))])
    assert isinstance(tree, Tree)
    found = samples(tree, PrefixTokens(tokenizer, prompt))
    assert len(found) > 3 and check_scores(model, found) > 30
    if prompt == "few_shot":
        # The line end in front of each step but the first was not drawn.
        assert any(0 in one.mask for one in found)


def chain(ids: str = "ids", **last: Any) -> Tree:
    """A tree of one path of two steps, whose token ids are the bytes of the text."""
    tokenizer = byte_tokenizer()
    first, second = "x = 1<end_of_step>", "It is $\\boxed{1}$.<end_of_answer>"
    nodes = [
        Node(0, -1, 0),
        Node(1, 0, 1, first),
        Node(2, 1, 2, second, end="answer", answer="1", correct=True),
    ]
    for node in nodes[1:]:
        node.token_ids = tokenizer(node.step).input_ids if ids else ()
        node.logprobs = [-0.5] * len(node.token_ids)
    for name, value in last.items():
        setattr(nodes[2], name, value)
    return Tree(Problem("p", "q", ("1",)), nodes)


def test_what_an_engine_wrote_behind_the_mark_is_cut() -> None:
    tokenizer = byte_tokenizer()
    tail = tokenizer("<end_of_answer> and more").input_ids
    whole = tokenizer("It is $\\boxed{1}$.").input_ids + tail
    tree = chain(token_ids=whole, logprobs=[-0.5] * len(whole), exact=False)
    (one,) = samples(tree, PrefixTokens(tokenizer, "finetuned"))
    assert tokenizer.decode(one.completion_ids).endswith("<end_of_answer>")
    assert set(one.mask) == {1}


def test_an_engine_that_tells_no_logprobs_gives_none() -> None:
    (one,) = samples(chain(logprob_bytes=b""), PrefixTokens(byte_tokenizer(), "finetuned"))
    assert one.logprobs is None and sum(one.mask) == len(one.completion_ids)


def test_bad_input_is_refused() -> None:
    prefix = PrefixTokens(byte_tokenizer(), "finetuned")
    with pytest.raises(DataError, match=r"node 1: expected the token ids of a step, got none"):
        samples(chain(ids=""), prefix)
    with pytest.raises(DataError, match=r"node 2: expected a graded answer"):
        samples(chain(correct=None), prefix)
    with pytest.raises(DataError, match=r"node 1: expected a leaf that is right or wrong"):
        samples(chain(), prefix, leaves=[1])
    with pytest.raises(DataError, match=r"node 2: expected a leaf"):
        samples(chain(correct=False, unsure=True), prefix, leaves=[2])
    with pytest.raises(ConfigError, match="credit: expected one of"):
        samples(chain(), prefix, credit="luck")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="end: expected one of"):
        samples(chain(), prefix, end="pad")  # type: ignore[arg-type]
    assert samples(chain(correct=False, unsure=True), prefix) == []


def test_a_function_engine_is_refused_by_name_of_the_node() -> None:
    policy = FunctionPolicy(
        lambda requests: [[Candidate("\\boxed{3}")] for _ in requests], name="plain"
    )
    with Searcher(policy, config=replace(HOT, candidates=1)) as searcher:
        (tree,) = searcher.search([Problem("p", "q", ("3",))])
    assert isinstance(tree, Tree)
    with pytest.raises(DataError, match="an engine that tells them"):
        samples(tree, PrefixTokens(byte_tokenizer(), "finetuned"))


class Changing(Engine):
    """A model whose weights change in the middle of a search, with a request under way."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.policy = TransformersPolicy(model, tokenizer)
        self.model = model
        self.weights = [{name: one.clone() for name, one in model.state_dict().items()}]
        self.weights.append({name: one + 0.05 * one.std() for name, one in self.weights[0].items()})
        self.num_expansions = 0

    def expand(self, request: ExpandRequest) -> Expansion:
        self.num_expansions += 1
        self.policy.add([request])
        if self.num_expansions == 4:
            assert not self.policy.step()
            self.model.load_state_dict(self.weights[1])
            self.policy.update(1)
        while True:
            if done := self.policy.step():
                return done[0]


def test_a_tree_across_a_change_of_weights_says_which_drew_what() -> None:
    tokenizer = byte_tokenizer(MARKS)
    model = tiny_model("llama", tokenizer, spread=0.15, max_position_embeddings=4096)
    engine = Changing(model, tokenizer)
    search = Search(replace(HOT, max_depth=4, max_step_tokens=12))
    search.add([Problem("p", "How many?", ("3",))])
    (tree,) = drive(search, engine)
    assert isinstance(tree, Tree) and engine.num_expansions > 5
    assert [{child.version for child in tree.children(0)}, tree.nodes[-1].version] == [{0}, 1]
    # A run folder keeps the versions.
    tree = record_to_tree(tree_to_record(tree))
    found = samples(tree, PrefixTokens(tokenizer, "finetuned"))
    assert any({0, 1} <= set(one.versions) for one in found)
    for version, weights in enumerate(engine.weights):
        model.load_state_dict(weights)
        for one in found:
            assert one.logprobs is not None
            own = torch.tensor(one.versions) == version
            errors = (torch.tensor(one.logprobs) - rescored(model, one)).abs()
            assert not own.any() or errors[own].max() < 2e-4
            other = torch.tensor(one.versions) == 1 - version
            assert not other.any() or errors[other].max() > 1e-3


def test_a_version_is_a_number() -> None:
    bad = FunctionPolicy(lambda requests: [[Candidate("x", version=-1)] for _ in requests])
    with Searcher(bad, config=replace(HOT, candidates=1)) as searcher:
        (failure,) = searcher.search([Problem("p", "q", ("3",))])
    assert isinstance(failure, Failure) and "expected an integer of at least 0" in failure.reason
    policy = TransformersPolicy(tiny_model("llama", byte_tokenizer(MARKS)), byte_tokenizer(MARKS))
    with pytest.raises(ConfigError, match="version: expected an integer"):
        policy.update(-1)


def test_a_step_without_text_needs_no_token_ids() -> None:
    tree = chain(step="", id_bytes=b"", logprob_bytes=b"", end="stuck", answer="", correct=None)
    (one,) = samples(tree, PrefixTokens(byte_tokenizer(), "finetuned"))
    assert len(one.completion_ids) == sum(one.mask) == len(tree.nodes[1].token_ids)
    assert one.logprobs is not None and one.finished
