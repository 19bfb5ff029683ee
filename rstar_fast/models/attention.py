"""Attention functions of ours inside models of transformers.

A model of transformers looks its attention function up by a name in its configuration, at every
forward. `AttentionSwap` registers a function of ours under a name of its own. For the length of a
forward it puts that name into the configuration, and hands the batch through the forward's keyword
arguments, which the model passes on to the attention of every layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from rstar_fast.errors import RStarError
from rstar_fast.models.graphs import Recording

_HARMLESS = frozenset(
    {
        "cache_position",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "position_ids",
        "return_dict",
        "use_cache",
    }
)
"""Arguments that models hand to their attention and that change nothing in it.

Any other one, such as a softcap, sinks or the indices of sparse attention, is refused. Many have
an effect on long texts only, which no probe shows.
"""
_MAX_PROBE_ERROR = {torch.float64: 1e-3, torch.float32: 1e-2}
"""Largest relative error of a probe, by the number type of the model.

Float32 leaves room for the TensorFloat-32 of GPUs.
"""
_MAX_HALF_PROBE_ERROR = 0.1
"""The same for number types of 16 bits."""


class AttentionFunction(Protocol):
    """The attention of one layer over a packed batch."""

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        batch: Any,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """Attend.

        Args:
            module: Attention module of the layer. Its `layer_idx` is the layer's number.
            query: Queries [1, query_heads, tokens, dim], positions applied.
            key: Keys [1, kv_heads, tokens, dim], positions applied.
            value: Values [1, kv_heads, tokens, value_dim].
            batch: Batch that the caller of the forward gave.
            scale: Factor of the products of queries and keys. None for dim ** -0.5.
            window: Number of positions that the layer sees. None for all.

        Returns:
            Results [1, tokens, query_heads, value_dim].
        """


class AttentionSwap:
    """Runs models of transformers with an attention function of ours in place of their own.

    Attributes:
        function: Attention function.
    """

    def __init__(
        self, name: str, function: AttentionFunction, error_type: type[RStarError]
    ) -> None:
        """Register the function with transformers.

        Args:
            name: Name that transformers knows the function by, unique in this process.
            function: Attention function.
            error_type: Type of the errors that are raised for models that cannot be run this way.
        """
        self._name = name
        self.function = function
        self._error_type = error_type
        AttentionInterface.register(name, self._attend)

    def check_support(self, model: Any, name: str) -> None:
        """Raise an error unless the model takes its attention function from transformers' registry.

        Args:
            model: Model of transformers.
            name: Name of the model, for the error.
        """
        if not getattr(model, "_supports_attention_backend", False):
            raise self._error_type(
                f"{name}: expected a model that takes its attention function from transformers' "
                "AttentionInterface"
            )

    def forward(
        self, model: Any, tokens: Tensor, positions: Tensor, batch: Any, **options: Any
    ) -> Any:
        """Run a model over packed tokens.

        The model's configuration is changed during the call and restored at its end.

        Args:
            model: Model of transformers, with or without its head.
            tokens: Token ids, int64 [1, tokens].
            positions: Position of each token in its text, int64 [1, tokens].
            batch: Batch that the attention function gets. Not None.
            options: Further arguments of the model's forward.

        Returns:
            Output of the model.

        Raises:
            RStarError: The attention of the model is not plain. The error is an `error_type`.
        """
        config = model.config
        before = config._attn_implementation
        config._attn_implementation = self._name
        try:
            return model(
                input_ids=tokens,
                position_ids=positions,
                # A model that gets a 4D mask builds none. The batch says which token sees which.
                attention_mask=torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=tokens.device),
                use_cache=False,
                packed_batch=batch,
                **options,
            )
        finally:
            config._attn_implementation = before

    @contextmanager
    def probing(self, name: str) -> Iterator[None]:
        """Turn what a model raises in a probe into an error that names the model.

        Args:
            name: Name of the model.
        """
        try:
            yield
        except (RStarError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise self._error_type(
                f"{name}: its forward does not work with our attention: "
                f"{type(error).__name__}: {error}"
            ) from error

    def check_probe(self, ours: Tensor, theirs: Tensor, dtype: torch.dtype, problem: str) -> None:
        """Raise an error if the results of a probe differ too much from those of the model itself.

        Args:
            ours: Results with the attention function, any shape.
            theirs: Results of the model's own forward, same shape.
            dtype: Number type of the model's weights.
            problem: What is wrong if they differ, for the error. Ends with the name of the results.
        """
        error = float((ours - theirs).norm() / theirs.norm().clamp(min=1e-12))
        if not error < _MAX_PROBE_ERROR.get(dtype, _MAX_HALF_PROBE_ERROR):
            raise self._error_type(
                f"{problem} differ from the model's by {error:.2g} of their size"
            )

    def _attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        packed_batch: Any = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Check the arguments of a layer and call the function. Transformers calls this."""
        if packed_batch is None:
            raise self._error_type(
                f"{type(module).__name__} does not hand the keyword arguments of the model's "
                "forward on to its attention"
            )
        if attention_mask is not None and attention_mask.numel() != 1:
            raise self._error_type(
                f"{type(module).__name__} makes an attention mask of its own, "
                "which is not supported"
            )
        for name, argument in kwargs.items():
            if argument is not None and name not in _HARMLESS:
                raise self._error_type(
                    f"{type(module).__name__} uses {name!r} in its attention, "
                    "which is not supported"
                )
        if isinstance(packed_batch, Recording):
            return packed_batch.attend(module, query, key, value, scaling, sliding_window), None
        out = self.function(module, query, key, value, packed_batch, scaling, sliding_window)
        return out, None
