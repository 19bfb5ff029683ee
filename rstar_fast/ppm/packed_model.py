"""A PPM that is run over packed trees.

The layers are those of the model. The attention in them is ours, and the value head runs at the
score positions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rstar_fast._core import NO_TOKEN, Pack, pack
from rstar_fast.errors import ScoreError
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.value_head import value_head
from rstar_fast.models.attention import AttentionSwap
from rstar_fast.models.graphs import ForwardGraphs
from rstar_fast.models.modes import evaluation_mode
from rstar_fast.models.rope import short_rope_context
from rstar_fast.ppm.model import PPM

_PROBE_TOKENS = 10
_PROBE_NEW = 2
"""Number of last tokens of the probe that are scored behind kept keys and values."""


@dataclass
class ScoreBatch:
    """One forward, as the attention function sees it.

    Attributes:
        layout: Layout that says which token sees which. Its queries are the tokens of the forward.
        known: Keys and values that were kept before: packed index of their first token, and tensor
            [layers, 2, kv_heads, tokens, dim].
        keep: Whether the keys and values of all tokens are kept, in `kv`.
        kv: Keys and values [layers, 2, kv_heads, keys, dim]. None before the forward, and if none
            are known or to be kept.
    """

    layout: TreeLayout
    known: list[tuple[int, Tensor]] = field(default_factory=list)
    keep: bool = False
    kv: Tensor | None = None
    _index: Tensor | None = None

    def extend(
        self, layer: int, num_layers: int, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values of all tokens of a layer.

        Args:
            layer: Number of the layer.
            num_layers: Number of layers of the model.
            key: Keys of the forward's tokens, [kv_heads, tokens, dim].
            value: Values of the forward's tokens, [kv_heads, tokens, dim].

        Returns:
            Keys and values [kv_heads, keys, dim].
        """
        if not self.known and not self.keep:
            return key, value
        if self.kv is None:
            heads, _, dim = key.shape
            self.kv = key.new_empty(num_layers, 2, heads, self.layout.num_keys, dim)
            for begin, kv in self.known:
                self.kv[:, :, :, begin : begin + kv.shape[3]] = kv
        index = self._index
        if index is None:
            index = self._index = self.layout.tensor("queries").long()
        return self.kv[layer, 0].index_copy_(1, index, key), self.kv[layer, 1].index_copy_(
            1, index, value
        )


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    batch: ScoreBatch,
    scale: float | None,
    window: int | None,
) -> Tensor:
    """Attend in one layer over packed trees.

    Args:
        module: Attention module of the layer. Its `layer_idx` is the layer's number.
        query: Queries [1, query_heads, tokens, dim], positions applied.
        key: Keys [1, kv_heads, tokens, dim], positions applied.
        value: Values [1, kv_heads, tokens, dim].
        batch: Batch. Its `kv` takes the new keys and values where they are kept.
        scale: Factor of the products of queries and keys. None for dim ** -0.5.
        window: Number of positions that the layer sees. None for all.

    Returns:
        Results [1, tokens, query_heads, dim].
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    num_layers = int(module.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    keys, values = batch.extend(layer, num_layers, key[0], value[0])
    out = tree_attention(query[0], keys, values, batch.layout, scale=scale, window=window)
    return out.transpose(0, 1)[None]


_PACKED_TREES = AttentionSwap("rstar_fast_packed_trees", packed_attention, ScoreError)


class PackedModel:
    """Computes the values and scores of packed trees by a PPM, every token once.

    Attributes:
        ppm: PPM. The configuration of its model is the same before and after every call.
        max_tokens: Length of the longest path that it takes, tokens. None if its config does not
            say.
    """

    def __init__(self, ppm: PPM) -> None:
        """Check that a PPM's model can be run with our attention.

        The check compares forwards of ours over a few tokens with those of the model's own.

        Raises:
            ScoreError: The attention of the model cannot be replaced. The message names the model.
        """
        self.ppm = ppm
        model, name = ppm.model, f"{ppm.name}: {type(ppm.model).__name__}"
        _PACKED_TREES.check_support(model, name)
        norm = getattr(model.base_model, "norm", None)
        if norm is None or not hasattr(norm, "variance_epsilon"):
            raise ScoreError(
                f"{name}: expected a root-mean-square norm `norm` after the layers, "
                f"got {type(norm).__name__}"
            )
        self._norm = norm
        self.max_tokens = _max_tokens(ppm)
        self._graphs = ForwardGraphs(model.base_model, self._hidden, _PACKED_TREES.function)
        self._probe(name)

    def values(self, packed: Pack) -> Tensor:
        """Compute the head's values of packed trees, with gradients unless they are turned off.

        Returns:
            Value at the last token of each node, [nodes], float32 (float64 for a float64 model).

        Raises:
            ScoreError: There is a node without any token on its path.
        """
        if len(packed.score_index) and int(packed.score_index.min()) == NO_TOKEN:
            node = int(np.flatnonzero(packed.score_index == NO_TOKEN)[0])
            raise ScoreError(
                f"{self.ppm.name}: expected at least one token on the path of every node, "
                f"got none at node {node}"
            )
        batch = ScoreBatch(TreeLayout.of(packed, self.ppm.model.device))
        return self.forward(packed, batch, packed.score_index)[0]

    def forward(
        self, packed: Pack, batch: ScoreBatch, index: NDArray[np.int32]
    ) -> tuple[Tensor, Tensor]:
        """Run the tokens that are the queries of a batch.

        Args:
            packed: All tokens, also those whose keys and values are known.
            batch: Batch. Its `kv` is filled if keys and values are to be kept.
            index: Numbers of the queries to score, int32 [scores].

        Returns:
            Values and scores, [scores], float32 (float64 for a float64 model).
        """
        model: Any = self.ppm.model
        device = model.device
        queries = batch.layout.queries
        tokens, positions = (
            torch.from_numpy(packed.tokens[queries])[None].long().to(device),
            torch.from_numpy(packed.position[queries])[None].long().to(device),
        )
        hidden = self._graphs((tokens, positions), batch)
        rows = torch.from_numpy(index.astype(np.int64)).to(device)
        if not isinstance(model.score, nn.Linear):
            values = self.ppm.head(self._norm(hidden[rows]))
            return values, self.ppm.squash(values)
        return value_head(
            hidden,
            rows,
            self._norm.weight,
            model.score.weight[0],
            eps=self._norm.variance_epsilon,
            bias=self.ppm.bias,
            scale=self.ppm.scale,
        )

    def renew(self) -> None:
        """Take note that the model's weights have changed."""
        self._graphs.renew()

    def _hidden(self, inputs: Sequence[Tensor], batch: Any) -> Tensor:
        """Return the hidden states before the last norm, [tokens, width]."""
        hidden: list[Tensor] = []

        def take(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # The rows that are scored are normed later. One row is left for the model's own norm.
            hidden.append(arguments[0][0])
            return (arguments[0][:, :1],)

        hook = self._norm.register_forward_pre_hook(take)
        try:
            tokens, positions = inputs
            _PACKED_TREES.forward(self.ppm.model.base_model, tokens, positions, batch)
        finally:
            hook.remove()
        return hidden[0]

    @torch.no_grad()
    def _probe(self, name: str) -> None:
        """Compare the values of a chain of tokens with the model's own.

        All tokens go through one forward, and then the last ones behind kept keys and values.
        """
        tokens = np.arange(1, _PROBE_TOKENS + 1, dtype=np.int32)
        chain = pack_chain(tokens % self.ppm.model.get_input_embeddings().num_embeddings)
        with _PACKED_TREES.probing(name), evaluation_mode(self.ppm.model):
            ours = self.values(chain)
            ids = torch.tensor(chain.tokens)[None].long().to(ours.device)
            theirs = self.ppm.forward(
                ids.expand(_PROBE_TOKENS, -1), torch.arange(_PROBE_TOKENS, device=ours.device)
            )
            behind = self._behind_kept(chain)
        # A model with NaN weights is taken: it fails the requests whose scores are NaN, one by one.
        if not theirs.isnan().any():
            problem = f"{name}: its attention or its head is not plain: values"
            dtype = self.ppm.model.dtype
            _PACKED_TREES.check_probe(ours, theirs, dtype, problem)
            problem = f"{problem} behind kept keys and values"
            _PACKED_TREES.check_probe(behind, theirs[-len(behind) :], dtype, problem)

    def _behind_kept(self, chain: Pack) -> Tensor:
        """Return the values of the last tokens of a chain behind keys and values of the others."""
        device, num_known = self.ppm.model.device, _PROBE_TOKENS - _PROBE_NEW
        first = pack_chain(chain.tokens[:num_known])
        batch = ScoreBatch(TreeLayout.of(first, device), keep=True)
        self.forward(first, batch, first.score_index)
        assert batch.kv is not None
        queries = np.arange(num_known, _PROBE_TOKENS, dtype=np.int32)
        layout = TreeLayout(chain.end, chain.position, queries, device)
        known = [(0, batch.kv)]
        return self.forward(
            chain, ScoreBatch(layout, known), np.arange(_PROBE_NEW, dtype=np.int32)
        )[0]


def pack_chain(tokens: NDArray[np.int32]) -> Pack:
    """Pack tokens each of which is a node, the child of the one before it."""
    count = len(tokens)
    return pack(np.arange(-1, count - 1, dtype=np.int32), np.ones(count, np.int32), tokens)


def _max_tokens(ppm: PPM) -> int | None:
    """Return the length of the longest path that a PPM takes, tokens. None if it has no limit.

    This is the original context where a longer text would change the scores of texts that are
    packed with it.
    """
    return short_rope_context(ppm.model.config.get_text_config()) or ppm.max_tokens
