"""The scorer of a search: every token of a tree goes through the PPM once."""

from collections.abc import Sequence
from math import isfinite, isnan

import numpy as np
import torch

from rstar_fast.errors import ScoreError
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.ppm.encoder import Encoder, EncoderStats
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.prefixes import Prefix, Prefixes
from rstar_fast.ppm.texts import Texts
from rstar_fast.steps import ends_answer
from rstar_fast.tree import Tree, total_logprob

_CPU_CACHE_BYTES = 1 << 30
_GPU_CACHE_SHARE = 0.2


class PackedScorer:
    """A `Scorer` that packs siblings of many trees into one forward, behind the keys and values of their ancestors.

    A text is the prompt, the path's segments and the child, as `ppm.spec` has them, each piece tokenized on its own. What a child
    leaves behind serves its own children later on; a child that ends the answer leaves nothing, and what nobody comes back to is
    dropped first.

    Attributes:
        ppm: the model.
        batch_tokens: tokens of a forward, at most (the missing part of one solution is always taken).
        cache_bytes: keys and values kept between calls, at most.
        name: the model's.
    """

    def __init__(self, ppm: PPM, batch_tokens: int = 16384, cache_bytes: int | None = None) -> None:
        """Score with `ppm`.

        Args:
            ppm: the model; its attention must go through transformers' attention interface.
            batch_tokens: >= 1.
            cache_bytes: >= 0; None for 1 GiB on a CPU and a fifth of a GPU's memory.

        Raises:
            ScoreError: a number is out of range, or the model's attention cannot be replaced.
        """
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
        """Counts since the scorer was made."""
        return self._encoder.stats

    @property
    def kept_bytes(self) -> int:
        """Keys and values kept at present."""
        return self._prefixes.kept_bytes

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """See `Scorer`. Errors of a request: too long for the model, tokens it does not know, a score that is NaN, no memory."""
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
            self._answer(
                request.id, children, request.logprobs if self.ppm.likelihood else (), faults
            )
            for request, children in zip(requests, found, strict=True)
        ]
        for node in wanted:
            self._prefixes.forget(node)
        return answers

    def score_trees(self, trees: Sequence[Tree]) -> list[Scores]:
        """Score every node of finished trees, in chunks of the token budget; kept meanwhile is the path to the next chunk, no more.

        Args:
            trees: their texts are read, their scores are not.

        Returns:
            In order, numbered from 0; `values` float64 [nodes], of which the root's is the value behind the prompt. An error as in
            `score`, of the whole tree.
        """
        prefixes = Prefixes(0)
        found: list[list[Prefix] | str] = [self._nodes(tree, prefixes) for tree in trees]
        # Trees of one question share its prompt, and maybe more.
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

    def _logprobs(self, tree: Tree) -> list[float]:
        """Of the path to each node, where they are wanted."""
        if not self.ppm.likelihood:
            return []
        found = [0.0]
        for node in tree.nodes[1:]:
            found.append(found[node.parent] + total_logprob(node.logprob_bytes))
        return found

    def _encode(self, targets: list[Prefix], final: set[Prefix]) -> dict[Prefix, str]:
        """Values of targets, as far as they can be had; returns why some cannot."""
        faults: dict[Prefix, str] = {}
        for batch in self._encoder.batches(targets):
            self._prefixes.touch(batch)
            faults |= self._encoder.run(batch, self._prefixes, lambda node: node not in final)
            self._prefixes.trim()
        return faults

    def _nodes(self, tree: Tree, prefixes: Prefixes) -> list[Prefix] | str:
        """A tree's nodes as prefixes, in its own order."""
        prompt, *steps = self._texts.pieces(
            tree.problem.question, [node.text for node in tree.nodes[1:]]
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
        error = (
            nodes
            if isinstance(nodes, str)
            else next((faults[node] for node in nodes if node in faults), None)
        )
        if (
            error is None
            and self.ppm.likelihood
            and not (len(logprobs) == len(nodes) and all(map(isfinite, logprobs)))
        ):
            error = "the PPM weighs the log-probabilities of the policy, which gives none"
        if error is not None or isinstance(nodes, str):
            return Scores(number, np.array([], np.float64), error)
        values = [self._value(node) for node in nodes]
        if self.ppm.likelihood:
            values = list(map(self.ppm.with_likelihood, values, logprobs))
        return Scores(number, np.array(values, np.float64))

    def _value(self, node: Prefix) -> float:
        """The score of a path whose steps are all known: behind the prompt, or the prompt's own."""
        path = node.path()
        return self.ppm.spec.of_path([step.value for step in path[1:] or path])


def _depth_first(nodes: Sequence[Prefix]) -> list[Prefix]:
    """What hangs from a tree's root, root first, children behind their parent and in order."""
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
