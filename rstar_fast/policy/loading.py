"""Load a causal language model for the engine, and prove that the engine computes what the model computes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rstar_fast.errors import PolicyError
from rstar_fast.policy.attention import NAME, DecodeBatch, ShapeProbe, shared_prefix_attention
from rstar_fast.policy.kv import Layout

AttentionInterface.register(NAME, shared_prefix_attention)

_MAX_PROBE_ERROR = 0.1


def load(source: str | Path, dtype: torch.dtype | None, device: torch.device) -> PreTrainedModel:
    """A model from a folder or a hub name."""
    expected = (
        "expected the folder or hub name of a causal language model (config.json and weights)"
    )
    if Path(source).exists() and not (Path(source) / "config.json").is_file():
        raise PolicyError(f"policy {str(source)!r}: {expected}; there is no config.json in it")
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype or "auto")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PolicyError(
            f"policy {str(source)!r}: {expected}; transformers says: {error}"
        ) from error
    loaded: PreTrainedModel = model.to(device).eval()
    return loaded


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or a hub name."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(
            f"policy {str(source)!r}: expected a tokenizer beside the model; transformers says: {error}"
        ) from error
    return tokenizer


@dataclass
class CausalModel:
    """A decoder whose attention is ours for the length of a forward.

    Attributes:
        model: as given; its configuration is as before after every call.
        layout: of its KV.
        context_tokens: longest text it can attend over in full.
    """

    model: PreTrainedModel
    layout: Layout
    context_tokens: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> "CausalModel":
        """Check that the model is a plain per-layer key/value decoder, by name and by a forward compared with its own."""
        name = type(model).__name__
        if not getattr(model, "_supports_attention_backend", False):
            raise PolicyError(
                f"{name}: expected a model that takes its attention function from transformers' AttentionInterface"
            )
        config = model.config.get_text_config()
        device = next(model.parameters()).device
        probe, tokens = ShapeProbe(), torch.arange(1, 9, device=device)[None] % config.vocab_size
        self = cls(model, Layout((), model.dtype, device), _context_tokens(config))
        with torch.inference_mode():
            ours = self.forward(tokens, torch.arange(8, device=device)[None], probe, slice(None))
            theirs = model(input_ids=tokens, use_cache=False).logits[0].float()
        if sorted(probe.shapes) != list(range(config.num_hidden_layers)):
            raise PolicyError(
                f"{name}: expected attention with keys and values in each of its {config.num_hidden_layers} layers, "
                f"got {len(probe.shapes)} such layers (hybrid and recurrent models are not supported)"
            )
        error = float((ours - theirs).norm() / theirs.norm().clamp(min=1e-12))
        if not error < _MAX_PROBE_ERROR:
            raise PolicyError(
                f"{name}: its attention is not plain: logits are off by {error:.2g} of their size"
            )
        self.layout = Layout(
            tuple(probe.shapes[i] for i in range(config.num_hidden_layers)), model.dtype, device
        )
        return self

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        batch: DecodeBatch | ShapeProbe,
        keep: Tensor | slice,
    ) -> Tensor:
        """Logits, float32 [kept, vocabulary], of packed tokens [1, tokens] at these positions."""
        config: Any = self.model.config
        before, training = config._attn_implementation, self.model.training
        config._attn_implementation = NAME
        if training:
            self.model.eval()  # type: ignore[no-untyped-call]
        try:
            output = self.model(
                input_ids=tokens,
                position_ids=positions,
                # Any 4D mask is handed on as it is: no mask is built, ours is in the batch.
                attention_mask=torch.zeros(
                    1, 1, 1, 1, dtype=self.layout.dtype, device=tokens.device
                ),
                use_cache=False,
                logits_to_keep=0 if isinstance(keep, slice) else keep,
                packed_batch=batch,
            )
        finally:
            config._attn_implementation = before
            if training:
                self.model.train()
        logits: Tensor = output.logits[0]
        return logits.float()


def _context_tokens(config: Any) -> int:
    """Positions the model can attend over in full: its context, or its sliding window where that is shorter."""
    limits = [getattr(config, "max_position_embeddings", None)]
    layer_types = getattr(config, "layer_types", None)
    if layer_types is None or any(kind != "full_attention" for kind in layer_types):
        limits += [
            getattr(config, "sliding_window", None),
            getattr(config, "attention_chunk_size", None),
        ]
    return min((limit for limit in limits if limit), default=1 << 30)
