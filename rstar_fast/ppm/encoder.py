"""Encodes partial solutions, each token once: what is missing of many of them goes into one packed forward."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rstar_fast._core import pack
from rstar_fast.kernels.tree_attention import TreeLayout
from rstar_fast.ppm.packed_model import PackedModel, ScoreBatch
from rstar_fast.ppm.prefixes import Prefix, Prefixes

Keep = Callable[[Prefix], bool]


@dataclass
class EncoderStats:
    """Counts since the encoder was made.

    Attributes:
        encoded_tokens: that went through the model.
        reused_tokens: whose keys and values were there already, counted once a forward.
        forwards: of the model.
    """

    encoded_tokens: int = 0
    reused_tokens: int = 0
    forwards: int = 0


class Encoder:
    """Finds the values of prefixes.

    Attributes:
        model: the PPM.
        batch_tokens: tokens to a forward, at most (the missing part of one prefix is always taken).
        stats: counts.
    """

    def __init__(self, model: PackedModel, batch_tokens: int) -> None:
        """Encode with `model`."""
        self.model = model
        self.batch_tokens = batch_tokens
        self.stats = EncoderStats()
        self._budget = batch_tokens

    def batches(self, targets: Sequence[Prefix]) -> Iterator[list[Prefix]]:
        """The targets in runs whose missing tokens fit the budget, as it is when a run is asked for."""
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
        """Set the values of targets, and of what is missing above them; returns why some have none.

        Where memory does not last, or a value is not finite (which can spread to whatever it was packed with), the batch is halved.
        """
        fault = self._fault(targets, prefixes, keep)
        if fault is None:
            return {}
        if len(targets) == 1:
            return {targets[0]: fault}
        half = len(targets) // 2
        return self.run(targets[:half], prefixes, keep) | self.run(targets[half:], prefixes, keep)

    def _fault(self, targets: Sequence[Prefix], prefixes: Prefixes, keep: Keep) -> str | None:
        """Run a batch: None if all went well, else why not."""
        nodes = list(dict.fromkeys(node for target in targets for node in target.path()))
        new = [node for node in nodes if node.kv is None]
        try:
            values = self._forward(nodes, new, prefixes, keep)
        except torch.OutOfMemoryError:
            values = None
        if values is None:
            # Only here, behind the handler, has the failed forward let go of its tensors.
            if self.model.ppm.model.device.type == "cuda":
                torch.cuda.empty_cache()
            self._budget = min(self._budget, max(1, sum(len(node.tokens) for node in new) // 2))
            return f"out of memory at one solution of {targets[0].num_tokens} tokens"
        wrong = [value for value in values if not math.isfinite(value)]
        if not wrong:
            for node, value in zip(new, values, strict=True):
                node.value = value
        return f"the PPM's score is {wrong[0]}" if wrong else None

    @torch.inference_mode()
    def _forward(
        self, nodes: list[Prefix], new: list[Prefix], prefixes: Prefixes, keep: Keep
    ) -> list[float]:
        """The values of `new`, by one forward behind what is kept of `nodes`; what is kept of it is kept only if all are finite."""
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
        _, scores = self.model.forward(
            packed, batch, np.searchsorted(queries, last).astype(np.int32)
        )
        self.stats.forwards += 1
        self.stats.encoded_tokens += len(queries)
        self.stats.reused_tokens += len(tokens) - len(queries)
        values: list[float] = scores.tolist()
        if batch.kv is not None and bool(scores.isfinite().all()):
            for node in to_keep:
                # A copy: a view would hold on to the whole batch.
                prefixes.keep(
                    node, batch.kv[:, :, :, begins[node] : begins[node] + len(node.tokens)].clone()
                )
        return values
