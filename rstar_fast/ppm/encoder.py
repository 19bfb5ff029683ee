"""Encoding partial solutions, every token once.

The missing tokens of many solutions go into one packed forward.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rstar_fast._core import pack
from rstar_fast.kernels.tree_attention import TreeLayout
from rstar_fast.models.modes import evaluation_mode
from rstar_fast.ppm.packed_model import PackedModel, ScoreBatch
from rstar_fast.ppm.prefixes import Prefix, Prefixes

Keep = Callable[[Prefix], bool]


@dataclass
class EncoderStats:
    """Running totals of an encoder.

    Attributes:
        encoded_tokens: Number of tokens that went through the model.
        reused_tokens: Number of tokens whose keys and values were kept already. A token counts once
            in every forward.
        forwards: Number of forwards.
    """

    encoded_tokens: int = 0
    reused_tokens: int = 0
    forwards: int = 0


class Encoder:
    """Computes the values of prefixes.

    Attributes:
        model: PPM.
        batch_tokens: Largest number of tokens in a forward. The missing tokens of a single prefix
            are taken however many they are.
        stats: Running totals.
    """

    def __init__(self, model: PackedModel, batch_tokens: int) -> None:
        """Make an encoder with a model and a token budget."""
        self.model = model
        self.batch_tokens = batch_tokens
        self.stats = EncoderStats()
        self._budget = batch_tokens

    def batches(self, targets: Sequence[Prefix]) -> Iterator[list[Prefix]]:
        """Yield the targets in batches whose missing tokens fit the budget.

        The missing tokens of a batch are counted when it is asked for. The budget shrinks where
        memory runs out in between.
        """
        self._budget = self.batch_tokens
        begin = 0
        while begin < len(targets):
            end, num_tokens = begin, 0
            taken: set[Prefix] = set()
            while end < len(targets):
                missing = [
                    node for node in targets[end].path() if node.kv is None and node not in taken
                ]
                num_tokens += sum(len(node.tokens) for node in missing)
                if end > begin and num_tokens > self._budget:
                    break
                taken.update(missing)
                end += 1
            yield list(targets[begin:end])
            begin = end

    def run(self, targets: Sequence[Prefix], prefixes: Prefixes, keep: Keep) -> dict[Prefix, str]:
        """Set the values of some prefixes, and of those above them that have none.

        The batch is halved where memory runs out, and where a value is not finite, since that can
        spread to everything in the same forward.

        Args:
            targets: Prefixes.
            prefixes: Tree that the prefixes are part of.
            keep: Function that says whether the keys and values of a prefix are kept.

        Returns:
            Reasons of the targets that have no value, by target.
        """
        fault = self._fault(targets, prefixes, keep)
        if fault is None:
            return {}
        if len(targets) == 1:
            return {targets[0]: fault}
        half = len(targets) // 2
        return self.run(targets[:half], prefixes, keep) | self.run(targets[half:], prefixes, keep)

    def _fault(self, targets: Sequence[Prefix], prefixes: Prefixes, keep: Keep) -> str | None:
        """Set the values of a batch. Returns None if all went well, else the reason."""
        nodes = list(dict.fromkeys(node for target in targets for node in target.path()))
        new = [node for node in nodes if node.kv is None]
        try:
            values = self._forward(nodes, new, prefixes, keep)
        except torch.OutOfMemoryError:
            values = None
        if values is None:
            # Not inside the handler: the error there still holds the tensors of the failed forward.
            if self.model.ppm.model.device.type == "cuda":
                torch.cuda.empty_cache()
            self._budget = min(self._budget, max(1, sum(len(node.tokens) for node in new) // 2))
            return f"out of memory with one solution of {targets[0].num_tokens} tokens"
        wrong = [value for value in values if not math.isfinite(value)]
        if not wrong:
            for node, value in zip(new, values, strict=True):
                node.value = value
        return f"the PPM's score is {wrong[0]}" if wrong else None

    @torch.inference_mode()
    def _forward(
        self, nodes: list[Prefix], new: list[Prefix], prefixes: Prefixes, keep: Keep
    ) -> list[float]:
        """Compute the values of some prefixes by one forward.

        The keys and values of the new prefixes are kept only if all values are finite.

        Args:
            nodes: All prefixes on the paths of the batch.
            new: Those of `nodes` whose keys and values are not kept. They go through the model.
            prefixes: Tree that the prefixes are part of.
            keep: Function that says whether the keys and values of a prefix are kept.

        Returns:
            Value of each of `new`.
        """
        place = {node: i for i, node in enumerate(nodes)}
        parents = [place.get(node.parent, -1) if node.parent else -1 for node in nodes]
        counts = [len(node.tokens) for node in nodes]
        tokens = [token for node in nodes for token in node.tokens]
        packed = pack(
            np.array(parents, np.int32), np.array(counts, np.int32), np.array(tokens, np.int32)
        )
        begins = {node: int(begin) for node, begin in zip(nodes, packed.begin, strict=True)}
        asks = np.ones(len(tokens), np.bool_)
        known = [(begins[node], node.kv) for node in nodes if node.kv is not None]
        for begin, kv in known:
            asks[begin : begin + kv.shape[3]] = False
        queries = np.flatnonzero(asks).astype(np.int32)
        to_keep = [node for node in new if keep(node)]
        layout = TreeLayout(packed.end, packed.position, queries, self.model.ppm.model.device)
        batch = ScoreBatch(layout, known, keep=bool(to_keep))
        last = packed.score_index[[place[node] for node in new]]
        index = np.searchsorted(queries, last).astype(np.int32)
        with evaluation_mode(self.model.ppm.model):
            _, scores = self.model.forward(packed, batch, index)
        self.stats.forwards += 1
        self.stats.encoded_tokens += len(queries)
        self.stats.reused_tokens += len(tokens) - len(queries)
        values: list[float] = scores.tolist()
        if batch.kv is not None and bool(scores.isfinite().all()):
            for node in to_keep:
                # A copy: a view would keep the tensor of the whole batch alive.
                prefixes.keep(
                    node, batch.kv[:, :, :, begins[node] : begins[node] + len(node.tokens)].clone()
                )
        return values
