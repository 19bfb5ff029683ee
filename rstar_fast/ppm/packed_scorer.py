"""The scorer of a search, which sends every token of a tree through the PPM once."""

from collections.abc import Sequence
from math import isnan

import numpy as np
import torch

from rstar_fast.errors import ScoreError
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.ppm.encoder import Encoder, EncoderStats
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.prefixes import Prefix, Prefixes
from rstar_fast.ppm.reading import scores_of_paths
from rstar_fast.ppm.texts import Texts
from rstar_fast.steps import ends_answer
from rstar_fast.tree import Tree, total_logprob

_CPU_BATCH, _GPU_BATCH = 2_048, 16_384
"""Tokens of a forward. Those of a small model then stay in the cache of a CPU's core."""
_CPU_CACHE_BYTES = 1 << 30
_GPU_CACHE_SHARE = 0.2


class PackedScorer:
    """A `Scorer` that packs siblings of many trees into one forward.

    The keys and values of their ancestors are kept from earlier forwards. Those of a child are kept
    for its own children, unless the child ends the answer. Where the budget is exceeded, the least
    recently used are dropped first.

    A text consists of the prompt, the segments of the path and the child, in the form of
    `ppm.spec`. Each piece is tokenized on its own.

    Attributes:
        ppm: PPM.
        batch_tokens: Largest number of tokens in a forward. The missing tokens of a single solution
            are taken however many they are.
        cache_bytes: Largest size of the keys and values that are kept between calls, bytes.
        name: Name of the PPM.
    """

    def __init__(
        self, ppm: PPM, batch_tokens: int | None = None, cache_bytes: int | None = None
    ) -> None:
        """Make a scorer from a PPM.

        Args:
            ppm: PPM. Its model must take its attention function from transformers'
                AttentionInterface.
            batch_tokens: Largest number of tokens in a forward, >= 1. None for 2,048 on a CPU and
                16,384 on a GPU.
            cache_bytes: Largest size in bytes of the keys and values that are kept between calls,
                >= 0. None for 1 GiB on a CPU and a fifth of a GPU's memory.

        Raises:
            ScoreError: A number is out of range, or the model's attention cannot be replaced.
        """
        if batch_tokens is None:
            batch_tokens = _GPU_BATCH if ppm.model.device.type == "cuda" else _CPU_BATCH
        if batch_tokens < 1:
            raise ScoreError(f"batch_tokens: expected at least 1, got {batch_tokens}")
        if cache_bytes is None:
            cache_bytes = _default_cache_bytes(ppm.model.device)
        if cache_bytes < 0:
            raise ScoreError(f"cache_bytes: expected at least 0, got {cache_bytes}")
        self.ppm = ppm
        self.batch_tokens = batch_tokens
        self.cache_bytes = cache_bytes
        self.name = ppm.name
        model = PackedModel(ppm)
        self._texts = Texts(ppm, model.max_tokens)
        self._encoder = Encoder(model, batch_tokens)
        self._prefixes = Prefixes(cache_bytes)

    @property
    def stats(self) -> EncoderStats:
        """Running totals since the scorer was made."""
        return self._encoder.stats

    @property
    def kept_bytes(self) -> int:
        """Size of the keys and values that are kept at present, bytes."""
        return self._prefixes.kept_bytes

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order.

        A request gets an error if it is too long for the model, contains tokens that the model does
        not know, has a score that is not finite, does not fit into memory, or lacks the policy's
        log-probabilities where the PPM uses them.
        """
        found: list[list[Prefix] | str] = []
        final: set[Prefix] = set()
        for request in requests:
            tokens = self._texts.of(request)
            if isinstance(tokens, str):
                found.append(tokens)
                continue
            parent = self._prefixes.find(tokens[0])
            children = [parent.child(child) for child in tokens[1]]
            final.update(
                node
                for node, text in zip(children, request.children, strict=True)
                if ends_answer(text)
            )
            found.append(children)
        wanted = list(
            dict.fromkeys(
                node for children in found if not isinstance(children, str) for node in children
            )
        )
        faults = self._encode([node for node in wanted if isnan(node.value)], final)
        answers = [
            self._answer(request.id, children, request.logprobs, faults)
            for request, children in zip(requests, found, strict=True)
        ]
        for node in wanted:
            self._prefixes.forget(node)
        return answers

    def score_trees(self, trees: Sequence[Tree]) -> list[Scores]:
        """Score every node of finished trees.

        The nodes are scored in batches of the token budget. Between two batches only the keys and
        values on the path to the next batch are kept.

        Args:
            trees: Trees. Their texts are read, their scores are not.

        Returns:
            Scores of each tree, in order, numbered from 0. `values` is float64 [nodes]; the root's
            is the score after the prompt. An error as in `score` concerns a whole tree.
        """
        prefixes = Prefixes(0)
        found: list[list[Prefix] | str] = [self._nodes(tree, prefixes) for tree in trees]
        # Trees of one question share the prompt, and perhaps more.
        wanted = list(
            dict.fromkeys(
                node
                for nodes in found
                if not isinstance(nodes, str)
                for node in _depth_first(nodes)
            )
        )
        faults: dict[Prefix, str] = {}
        position = 0
        for batch in self._encoder.batches(wanted):
            faults |= self._encoder.run(batch, prefixes, lambda node: bool(node.children))
            position += len(batch)
            needed = set(wanted[position].path()) if position < len(wanted) else set()
            for node in [node for node in prefixes.kept() if node not in needed]:
                prefixes.drop(node)
        return [
            self._answer(i, nodes, self._logprobs(tree), faults)
            for i, (nodes, tree) in enumerate(zip(found, trees, strict=True))
        ]

    def forget(self) -> None:
        """Drop what is kept of earlier texts. Needed after a change of the model's weights."""
        self._prefixes = Prefixes(self.cache_bytes)
        self._encoder.model.renew()

    def _logprobs(self, tree: Tree) -> list[float]:
        """Return the log-probability of the path to each node, nats.

        Empty if the PPM needs none.
        """
        if not self.ppm.likelihood:
            return []
        found = [0.0]
        for node in tree.nodes[1:]:
            found.append(found[node.parent] + total_logprob(node.logprob_bytes))
        return found

    def _encode(self, targets: list[Prefix], final: set[Prefix]) -> dict[Prefix, str]:
        """Set the values of some prefixes.

        Args:
            targets: Prefixes without a value.
            final: Prefixes that end an answer, whose keys and values are not kept.

        Returns:
            Reasons of the targets that have no value, by target.
        """
        faults: dict[Prefix, str] = {}
        for batch in self._encoder.batches(targets):
            self._prefixes.touch(batch)
            faults |= self._encoder.run(batch, self._prefixes, lambda node: node not in final)
            self._prefixes.trim()
        return faults

    def _nodes(self, tree: Tree, prefixes: Prefixes) -> list[Prefix] | str:
        """Return the prefix of each node of a tree, in order, or why the tree cannot be scored."""
        prompt, *steps = self._texts.pieces(
            tree.problem.question,
            [node.text for node in tree.nodes[1:]],
            [node.unseen_observation for node in tree.nodes[1:]],
        )
        nodes = [prefixes.find([prompt])]
        for node, tokens in zip(tree.nodes[1:], steps, strict=True):
            parent = nodes[node.parent]
            fault = self._texts.fault([node.tokens for node in parent.path()], [tokens])
            if fault is not None:
                return fault
            nodes.append(parent.child(tokens))
        return nodes

    def _answer(
        self,
        number: int,
        nodes: list[Prefix] | str,
        logprobs: Sequence[float],
        faults: dict[Prefix, str],
    ) -> Scores:
        """Answer a request or a tree.

        Args:
            number: Number of the request or the tree.
            nodes: Prefixes to report the scores of. A text is the reason why there are none.
            logprobs: Log-probability of each prefix under the policy, nats.
            faults: Reasons why prefixes have no value.
        """
        error = (
            nodes
            if isinstance(nodes, str)
            else next((faults[node] for node in nodes if node in faults), None)
        )
        if error is not None or isinstance(nodes, str):
            return Scores(number, np.array([], np.float64), error)
        paths = [[step.value for step in node.path()] for node in nodes]
        return scores_of_paths(number, self.ppm.spec, self.ppm.constants, paths, logprobs)


def _depth_first(nodes: Sequence[Prefix]) -> list[Prefix]:
    """Return the first prefix and all below it, depth first, children in order."""
    found = []
    stack = [nodes[0]]
    while stack:
        node = stack.pop()
        found.append(node)
        stack += reversed(node.children.values())
    return found


def _default_cache_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return _CPU_CACHE_BYTES
    return int(torch.cuda.get_device_properties(device).total_memory * _GPU_CACHE_SHARE)
