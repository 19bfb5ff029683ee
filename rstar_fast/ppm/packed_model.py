"""A PPM run over packed trees: its own layers, our attention between them, and the value head at the score positions only."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface

from rstar_fast._core import NO_TOKEN, Pack, pack
from rstar_fast.errors import ScoreError
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.value_head import value_head
from rstar_fast.ppm.model import PPM

NAME = "rstar_fast_packed_trees"
_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "block_mask")
_MAX_PROBE_ERROR = 0.1
_SHORT_ROPE = ("longrope",)
"""Rotary embeddings that change for all tokens once one lies beyond the original context."""


@dataclass
class ScoreBatch:
    """One forward, as the attention function sees it.

    Attributes:
        layout: who sees whom; the tokens of the forward are its queries.
        known: keys and values that are there already: packed index of their first token, and [layers, 2, kv_heads, tokens, dim].
        keep: keep the keys and values of all tokens, in `kv`.
        kv: [layers, 2, kv_heads, keys, dim], where something is known or to be kept.
    """

    layout: TreeLayout
    known: list[tuple[int, Tensor]] = field(default_factory=list)
    keep: bool = False
    kv: Tensor | None = None

    def extend(
        self, layer: int, num_layers: int, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The keys and values of all tokens [kv_heads, keys, dim], from those of this forward's tokens."""
        if not self.known and not self.keep:
            return key, value
        if self.kv is None:
            heads, _, dim = key.shape
            self.kv = key.new_empty(num_layers, 2, heads, self.layout.num_keys, dim)
            for begin, kv in self.known:
                self.kv[:, :, :, begin : begin + kv.shape[3]] = kv
        index = self.layout.tensor("queries").long()
        return self.kv[layer, 0].index_copy_(1, index, key), self.kv[layer, 1].index_copy_(
            1, index, value
        )


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packed_batch: ScoreBatch | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function registered with transformers.

    Args:
        module: the layer; its `layer_idx` says which.
        query: [1, query_heads, tokens, dim], positions applied.
        key: [1, kv_heads, tokens, dim].
        value: [1, kv_heads, tokens, dim].
        attention_mask: not looked at.
        scaling: of the products, default dim ** -0.5.
        dropout: not looked at.
        sliding_window: positions the layer sees, None for all.
        packed_batch: the batch, handed through the model's forward.
        kwargs: what the model gives other attention functions; those that change the result are refused.

    Returns:
        [1, tokens, query_heads, dim], and no weights.
    """
    if packed_batch is None:
        raise ScoreError(
            f"{type(module).__name__} does not hand the keyword arguments of the model's forward on to its attention"
        )
    for name in _UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise ScoreError(
                f"{type(module).__name__} uses {name!r} in its attention, which is not supported"
            )
    num_layers = int(module.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    keys, values = packed_batch.extend(int(module.layer_idx), num_layers, key[0], value[0])  # type: ignore[arg-type]
    out = tree_attention(
        query[0], keys, values, packed_batch.layout, scale=scaling, window=sliding_window
    )
    return out.transpose(0, 1)[None], None


AttentionInterface.register(NAME, packed_attention)


class PackedModel:
    """Values and scores of packed trees by a PPM, every token once.

    Attributes:
        ppm: the model; its configuration is as before after every call.
        max_tokens: the longest path it takes; None where its config does not say.
    """

    def __init__(self, ppm: PPM) -> None:
        """Prove, by name and by a forward compared with the model's own, that its attention can be replaced.

        Raises:
            ScoreError: it cannot; the message names the model.
        """
        self.ppm = ppm
        model, name = ppm.model, f"{ppm.name}: {type(ppm.model).__name__}"
        if not getattr(model, "_supports_attention_backend", False):
            raise ScoreError(
                f"{name}: expected a model that takes its attention function from transformers' AttentionInterface"
            )
        norm = getattr(model.base_model, "norm", None)
        if norm is None or not hasattr(norm, "variance_epsilon"):
            raise ScoreError(
                f"{name}: expected a root-mean-square norm `norm` behind the layers, got {type(norm).__name__}"
            )
        self._norm = norm
        self.max_tokens = _max_tokens(ppm)
        self._probe(name)

    def values(self, packed: Pack) -> Tensor:
        """The head's values at the end of every node of a pack, [nodes], with gradients unless the caller turns them off.

        Raises:
            ScoreError: a path is empty.
        """
        if len(packed.score_index) and int(packed.score_index.min()) == NO_TOKEN:
            node = int(np.flatnonzero(packed.score_index == NO_TOKEN)[0])
            raise ScoreError(
                f"{self.ppm.name}: expected at least one token on the path of every node, got none at node {node}"
            )
        batch = ScoreBatch(TreeLayout.of(packed, self.ppm.model.device))
        return self.forward(packed, batch, packed.score_index)[0]

    def forward(
        self, packed: Pack, batch: ScoreBatch, index: NDArray[np.int32]
    ) -> tuple[Tensor, Tensor]:
        """Run the tokens that ask.

        Args:
            packed: all tokens, cached ones too.
            batch: who sees whom, and what is cached; its `kv` is filled where asked for.
            index: int32 [scores], which of the queries to score.

        Returns:
            Values and scores, [scores], float32 (float64 for a float64 model).
        """
        model: Any = self.ppm.model
        config, device = model.config, model.device
        queries = batch.layout.queries
        hidden: list[Tensor] = []

        def take(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # The head norms the rows it scores itself; this leaves one row for the model's own norm.
            hidden.append(arguments[0][0])
            return (arguments[0][:, :1],)

        before = config._attn_implementation
        hook = self._norm.register_forward_pre_hook(take)
        config._attn_implementation = NAME
        try:
            model.base_model(
                input_ids=torch.from_numpy(packed.tokens[queries])[None].long().to(device),
                position_ids=torch.from_numpy(packed.position[queries])[None].long().to(device),
                # Any 4D mask is handed on as it is: no mask is built.
                attention_mask=torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=device),
                use_cache=False,
                packed_batch=batch,
            )
        finally:
            config._attn_implementation = before
            hook.remove()
        rows = torch.from_numpy(index.astype(np.int64)).to(device)
        if not isinstance(model.score, nn.Linear):
            values = self.ppm.head(self._norm(hidden[0][rows]))
            return values, self.ppm.squash(values)
        return value_head(
            hidden[0],
            rows,
            self._norm.weight,
            model.score.weight[0],
            eps=self._norm.variance_epsilon,
            bias=self.ppm.bias,
            scale=self.ppm.scale,
        )

    @torch.no_grad()
    def _probe(self, name: str) -> None:
        tokens = (
            np.arange(1, 9, dtype=np.int32) % self.ppm.model.get_input_embeddings().num_embeddings
        )
        chain = pack(np.arange(-1, 7, dtype=np.int32), np.ones(8, np.int32), tokens)
        ours = self.values(chain)
        ids = torch.from_numpy(tokens)[None].long().to(ours.device).expand(8, -1)
        theirs = self.ppm.forward(ids, torch.arange(8, device=ours.device))
        error = float((ours - theirs).norm() / theirs.norm().clamp(min=1e-12))
        if not error < _MAX_PROBE_ERROR and not theirs.isnan().any():
            raise ScoreError(
                f"{name}: its attention or its head is not plain: values are off by {error:.2g} of their size"
            )


def _max_tokens(ppm: PPM) -> int | None:
    """The PPM's limit; the original context, where texts beyond it would change the scores of those they are packed with."""
    config = ppm.model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in _SHORT_ROPE:
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        return original or ppm.max_tokens
    return ppm.max_tokens
