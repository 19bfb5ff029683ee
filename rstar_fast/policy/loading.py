"""Loading a causal language model for the engine, and a check that the engine computes the same."""

import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from rstar_fast.errors import PolicyError
from rstar_fast.kernels.kept_attention import KeptTable
from rstar_fast.models.attention import AttentionSwap
from rstar_fast.models.graphs import ForwardGraphs
from rstar_fast.models.loading import reason_of
from rstar_fast.models.modes import evaluation_mode
from rstar_fast.models.rope import short_rope_context
from rstar_fast.policy.attention import DecodeBatch, ShapeProbe, shared_prefix_attention
from rstar_fast.policy.kept_attention import OnGpu
from rstar_fast.policy.kv import Layout
from rstar_fast.policy.probe import decoded, probe_text

_SHARED_PREFIX = AttentionSwap("rstar_fast_shared_prefix", shared_prefix_attention, PolicyError)


def load(source: str | Path, dtype: torch.dtype | None, device: torch.device) -> PreTrainedModel:
    """Load a causal language model in evaluation mode.

    Args:
        source: Folder or hub name.
        dtype: Number type of the weights. None for the stored one.
        device: Device of the model.

    Raises:
        PolicyError: The source has no such model, or the model cannot be read.
    """
    expected = (
        "expected the folder or hub name of a causal language model (config.json and weights)"
    )
    if Path(source).exists() and not (Path(source) / "config.json").is_file():
        raise PolicyError(f"policy {str(source)!r}: {expected}; there is no config.json in it")
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(source), dtype=dtype or "auto", trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PolicyError(f"policy {str(source)!r}: {expected}; {reason_of(error)}") from error
    loaded: PreTrainedModel = model.to(device).eval()
    if dtype is None and loaded.dtype == torch.bfloat16 and not multiplies_bfloat16(device):
        warnings.warn(
            f"policy {str(source)!r}: its weights are bfloat16, and this processor has no products "
            "of these: float32 is up to 4 times as fast, and int8 up to 12 times; choose by dtype "
            "(--dtype), or say bfloat16 to keep it",
            stacklevel=2,
        )
    return loaded


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for products in bfloat16, as far as is known."""
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return True
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    known = [getattr(torch.cpu, name) for name in names if hasattr(torch.cpu, name)]
    return not known or any(has() for has in known)


def dtype_beside_int8(device: torch.device) -> torch.dtype:
    """Return the type of what int8 layers leave to other operations: the faster one there."""
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


@dataclass
class CausalModel:
    """A decoder whose attention is replaced by ours for the length of a forward.

    Attributes:
        model: Model as it was given. Its configuration is the same before and after every call.
        layout: Form of its keys and values.
        context_tokens: Length of the longest text that it can attend over in full, tokens.
    """

    model: PreTrainedModel
    layout: Layout
    context_tokens: int
    _graphs: ForwardGraphs = field(init=False, repr=False)
    _table_graphs: ForwardGraphs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        function, logits = _SHARED_PREFIX.function, 2
        self._graphs = ForwardGraphs(self.model, self._run, function, logits)
        self._table_graphs = ForwardGraphs(self.model, self._run_table, function, logits)

    @classmethod
    def of(cls, model: PreTrainedModel) -> "CausalModel":
        """Check that a model can be run with our attention, and take the form of its KV.

        The check compares texts of a few tokens, encoded and then decoded behind their keys and
        values, with a forward of the model's own.

        Raises:
            PolicyError: The model is no decoder with plain keys and values in each layer.
        """
        name = type(model).__name__
        _SHARED_PREFIX.check_support(model, name)
        config = model.config.get_text_config()
        device = next(model.parameters()).device
        self = cls(model, Layout((), model.dtype, device), _context_tokens(config))
        with torch.inference_mode(), _SHARED_PREFIX.probing(name), evaluation_mode(model):
            shapes = ShapeProbe()
            text = probe_text(model, self.context_tokens)
            tokens = torch.tensor([text], device=device)
            positions = torch.arange(len(text), device=device)[None]
            ours = self.forward(tokens, positions, shapes, slice(None)).float()
            theirs = model(input_ids=tokens, use_cache=False).logits[0].float()
            if sorted(shapes.shapes) != list(range(config.num_hidden_layers)):
                raise PolicyError(
                    f"{name}: expected attention with keys and values in each of its "
                    f"{config.num_hidden_layers} layers, got {len(shapes.shapes)} such layers "
                    "(hybrid and recurrent models are not supported)"
                )
            problem = f"{name}: its attention is not plain: logits"
            _SHARED_PREFIX.check_probe(ours, theirs, model.dtype, problem)
            layers = tuple(shapes.shapes[i] for i in range(config.num_hidden_layers))
            self.layout = Layout(layers, model.dtype, device)
            self.context_tokens = min([self.context_tokens, *shapes.windows])
            ours, index = decoded(self.forward, self.layout, text)
            problem = f"{name}: its attention is not plain: logits behind kept keys and values"
            _SHARED_PREFIX.check_probe(ours.float(), theirs[index], model.dtype, problem)
        return self

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        batch: DecodeBatch | ShapeProbe,
        keep: Tensor | slice,
    ) -> Tensor:
        """Run the model over packed tokens, in evaluation mode.

        Args:
            tokens: Token ids, int64 [1, tokens].
            positions: Positions, int64 [1, tokens].
            batch: Batch for the attention function. Changed by it.
            keep: Packed positions whose logits are wanted, int64 [kept]. A slice keeps all.

        Returns:
            Logits, in the model's number type [kept, vocabulary]. On a GPU the next forward may
            write over them.

        Raises:
            PolicyError: Autocast is on, and its number type is not the one of the weights.
        """
        _check_autocast(self.layout)
        with evaluation_mode(self.model):
            if isinstance(keep, slice) or isinstance(batch, ShapeProbe):
                return self._run((tokens, positions, 0), batch)
            inputs = (tokens, positions, keep)
            kept = batch.kept
            if isinstance(kept, OnGpu) and not batch.encoding:
                return self._table_graphs((*inputs, kept.table.entries, kept.table.buffers), None)
            return self._graphs(inputs, batch)

    def renew(self) -> None:
        """Take note that the model's weights have changed."""
        self._graphs.renew()
        self._table_graphs.renew()

    def _run(self, inputs: Sequence[Any], batch: Any) -> Tensor:
        """Run the model on tokens, positions, and the positions whose logits are wanted."""
        tokens, positions, keep = inputs
        output = _SHARED_PREFIX.forward(self.model, tokens, positions, batch, logits_to_keep=keep)
        logits: Tensor = output.logits[0]
        return logits

    def _run_table(self, inputs: Sequence[Tensor], batch: Any) -> Tensor:
        """Run the model on tokens all of which stand in the table that the last two inputs are."""
        *inputs, entries, buffers = inputs
        shape, dtype = self.layout.layers[0], self.layout.dtype
        table = KeptTable(entries, buffers, (), shape.num_heads, shape.key_dim, dtype)
        return self._run(inputs, DecodeBatch(kept=OnGpu(table)))


def _check_autocast(layout: Layout) -> None:
    kind = layout.device.type
    if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) != layout.dtype:
        raise PolicyError(
            f"the policy's model ran in {_name(torch.get_autocast_dtype(kind))} under autocast, "
            f"but its weights are {_name(layout.dtype)}: turn autocast off"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _context_tokens(config: Any) -> int:
    """Return the number of positions that the model can attend over in full.

    This is its context, or its sliding window where that is shorter.
    """
    limits = [getattr(config, "max_position_embeddings", None), short_rope_context(config)]
    layer_types = getattr(config, "layer_types", None)
    if layer_types is None or any(kind != "full_attention" for kind in layer_types):
        limits += [
            getattr(config, "sliding_window", None),
            getattr(config, "attention_chunk_size", None),
        ]
    return min((limit for limit in limits if limit), default=1 << 30)
