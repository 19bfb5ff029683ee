"""The log-probabilities that a policy gives to the steps of finished trees.

The trees may have been searched with another policy. Every token of a tree goes through the model
once.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rstar_fast._core import pack
from rstar_fast.errors import PolicyError
from rstar_fast.kernels.tree_attention import TreeLayout
from rstar_fast.marks import MARKS, unescape
from rstar_fast.marks.thinking import thinking_end
from rstar_fast.models.attention import AttentionSwap
from rstar_fast.models.modes import evaluation_mode
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.ppm.packed_model import ScoreBatch, pack_chain, packed_attention
from rstar_fast.steps import Segment
from rstar_fast.tree import Node, Tree

_BATCH_TOKENS = 4096
_LOGITS = 1 << 24
"""Largest number of logits at once."""
_PROBE_TOKENS = 10
_POLICY_TREES = AttentionSwap("rstar_fast_policy_trees", packed_attention, PolicyError)

Logprobs = dict[int, float]
"""Log-probability of the tokens of steps, nats, by the number of the node."""


def policy_logprobs(
    model: Any,
    tokenizer: Any,
    trees: Sequence[Tree],
    wanted: Sequence[Collection[int]] | None = None,
) -> list[Logprobs]:
    """Return the log-probabilities of steps under a policy that reads the fine-tuned prompt.

    The token ids of a step count where they are known: the policy that wrote the step then gets
    what it reported. Where they are not known, or are of another vocabulary, the tokens that the
    tokenizer makes of the text count.

    Args:
        model: Causal language model of transformers.
        tokenizer: Tokenizer of the model.
        trees: Trees. They are not changed.
        wanted: Numbers of the nodes asked for, for every tree. The root is no step. None for all.

    Raises:
        PolicyError: The model's attention cannot be replaced.
    """
    _check(model)
    reader = _Reader(tokenizer)
    found: list[Logprobs] = [{} for _ in trees]
    wanted = wanted or [range(1, len(tree.nodes)) for tree in trees]
    runs = [reader.run(tree, nodes) for tree, nodes in zip(trees, wanted, strict=True)]
    for batch in _batches(runs):
        sums = _sums(model, [runs[i] for i in batch])
        for i, of_tree in zip(batch, sums, strict=True):
            found[i] = of_tree
    return found


@dataclass
class _Run:
    """The tokens of one tree, and where the steps that are asked for stand among them.

    Attributes:
        parents: Index of the run before each run of tokens. -1 for the prompt.
        tokens: Token ids of each run.
        steps: Index of the run of each step asked for, by the number of its node.
    """

    parents: list[int] = field(default_factory=list)
    tokens: list[Sequence[int]] = field(default_factory=list)
    steps: dict[int, int] = field(default_factory=dict)

    def add(self, parent: int, tokens: Sequence[int]) -> int:
        self.parents.append(parent)
        self.tokens.append(tokens)
        return len(self.parents) - 1

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.tokens))


class _Reader:
    """Turns trees into tokens as a search does."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._prefix = PrefixTokens(tokenizer, "finetuned")
        vocabulary = tokenizer.get_vocab()
        self._marks = {vocabulary[mark] for mark in MARKS if mark in vocabulary}

    def run(self, tree: Tree, wanted: Collection[int]) -> _Run:
        """Return the tokens of the nodes asked for and of the paths to them."""
        needed = {node.id for target in wanted for node in tree.path(target)}
        asked = set(wanted)
        run = _Run()
        ends = {0: run.add(-1, self._prefix.of_prompt(tree.problem.question))}
        for node in tree.nodes[1:]:
            if node.id not in needed:
                continue
            parent = ends[node.parent]
            read, drawn = self._tokens(node)
            ends[node.id] = run.add(parent, read)
            if node.id in asked:
                run.steps[node.id] = ends[node.id] if read == drawn else run.add(parent, drawn)
            if node.suffix:
                suffix = self._prefix.of_segment(Segment(node.suffix))
                ends[node.id] = run.add(ends[node.id], suffix)
        return run

    def _tokens(self, node: Node) -> tuple[list[int], list[int]]:
        """Return the tokens of a step as its descendants read them, and as they were drawn."""
        plain, ids = list(self._prefix.of_segment(Segment(node.step))), list(node.token_ids)
        if not ids or max(ids) >= len(self._tokenizer) or not self._spell(ids, plain, node):
            return plain, plain
        read = plain
        if node.exact:
            read = list(self._prefix.of_segment(Segment(node.step, node.token_ids)))
        # A policy that spells marks by letters did not draw what this one would. One that writes
        # them as tokens did, even where they only spell marks in the text.
        by_letters = self._marks.isdisjoint(ids) and not self._marks.isdisjoint(plain)
        return read, plain if by_letters else ids

    def _spell(self, ids: Sequence[int], plain: Sequence[int], node: Node) -> bool:
        """Return whether token ids of a step spell its text in this vocabulary."""
        spelt = self._tokenizer.decode(ids)
        if thinking_end(spelt):
            return False
        texts = [self._tokenizer.decode(plain)]
        if "<\\" in node.step:
            texts.append(self._tokenizer.decode(self._tokenizer(unescape(node.step)).input_ids))
        return any(spelt == text or (not node.exact and spelt.startswith(text)) for text in texts)


def _batches(runs: Sequence[_Run]) -> Iterator[list[int]]:
    """Yield the numbers of runs in batches of at most `_BATCH_TOKENS`, or one larger run."""
    batch: list[int] = []
    num_tokens = 0
    for i, run in enumerate(runs):
        if batch and num_tokens + run.num_tokens > _BATCH_TOKENS:
            yield batch
            batch, num_tokens = [], 0
        if run.steps:
            batch.append(i)
            num_tokens += run.num_tokens
    if batch:
        yield batch


@torch.inference_mode()
def _sums(model: Any, runs: Sequence[_Run]) -> list[Logprobs]:
    """Return the log-probabilities of the steps of some runs, by one forward."""
    parents: list[int] = []
    tokens: list[Sequence[int]] = []
    bases = []
    for run in runs:
        base = len(parents)
        bases.append(base)
        parents += [parent + base if parent >= 0 else -1 for parent in run.parents]
        tokens += run.tokens
    packed = pack(
        np.array(parents, np.int32),
        np.array(list(map(len, tokens)), np.int32),
        np.array([token for piece in tokens for token in piece], np.int32),
    )
    places = [
        (i, node, bases[i] + at) for i, run in enumerate(runs) for node, at in run.steps.items()
    ]
    # Each token is predicted at the one before it: the first of a step at the end of its prefix.
    before: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for number, (_, _, at) in enumerate(places):
        if not tokens[at]:
            continue
        begin = int(packed.begin[at])
        first = int(packed.score_index[parents[at]])
        before += [first, *range(begin, begin + len(tokens[at]) - 1)]
        targets += tokens[at]
        owners += [number] * len(tokens[at])
    with evaluation_mode(model):
        layout = TreeLayout.of(packed, model.device)
        hidden = _hidden(model, packed.tokens, packed.position, ScoreBatch(layout))
        logprobs = _token_logprobs(model, hidden, before, targets)
    sums = np.zeros(len(places))
    np.add.at(sums, owners, logprobs.double().cpu().numpy())
    found: list[Logprobs] = [{} for _ in runs]
    for (i, node, _), value in zip(places, sums.tolist(), strict=True):
        found[i][node] = value
    return found


def _hidden(model: Any, tokens: Any, positions: Any, batch: ScoreBatch) -> Tensor:
    ids, places = (
        torch.tensor(values)[None].long().to(model.device) for values in (tokens, positions)
    )
    output = _POLICY_TREES.forward(model.base_model, ids, places, batch)
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


def _token_logprobs(
    model: Any, hidden: Tensor, before: Sequence[int], targets: Sequence[int]
) -> Tensor:
    """Return the log-probability of each target after the token in front of it, float32."""
    head = model.get_output_embeddings()
    size = max(1, _LOGITS // head.weight.shape[0])
    found = [torch.zeros(0, device=hidden.device)]
    for begin in range(0, len(before), size):
        rows, tokens = (
            torch.tensor(values[begin : begin + size], device=hidden.device)
            for values in (before, targets)
        )
        logits = head(hidden[rows]).float()
        found.append(logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(1))
    return torch.cat(found)


@torch.inference_mode()
def _check(model: Any) -> None:
    """Compare the logits of a few tokens with the model's own.

    Raises:
        PolicyError: They differ, or the attention of the model cannot be replaced.
    """
    name = type(model).__name__
    _POLICY_TREES.check_support(model, name)
    tokens = np.arange(1, _PROBE_TOKENS + 1, dtype=np.int32)
    tokens %= model.get_input_embeddings().num_embeddings
    chain = pack_chain(tokens)
    with _POLICY_TREES.probing(name), evaluation_mode(model):
        layout = TreeLayout.of(chain, model.device)
        hidden = _hidden(model, chain.tokens, chain.position, ScoreBatch(layout))
        ours = model.get_output_embeddings()(hidden).float()
        ids = torch.tensor(tokens)[None].long().to(model.device)
        theirs = model(input_ids=ids, use_cache=False).logits[0].float()
    problem = f"{name}: its attention or its head is not plain: logits"
    _POLICY_TREES.check_probe(ours, theirs, model.dtype, problem)
