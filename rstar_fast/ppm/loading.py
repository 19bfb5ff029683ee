"""Reading the parts of a PPM from folders and the hub: model, tokenizer, the released code's head."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.hub import cached_file

from rstar_fast.errors import ScoreError

REFERENCE_HEAD = "value_head.bin"
"""The released code's head: a state dict beside a causal language model, whose score is tanh(v / 5)."""
REFERENCE_SCALE = 5.0


def load_config(name: str) -> Any:
    """The config of a model's folder or hub name."""
    try:
        return AutoConfig.from_pretrained(name)
    except Exception as error:
        raise ScoreError(f"{name}: expected a model's folder or hub name: {error}") from error


def load_model(
    name: str, device: str | None, dtype: str | torch.dtype | None, new_head: bool
) -> Any:
    """The model with one label. Only the weight of a head that is new anyway may be missing, or of another shape."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or (torch.float32 if device == "cpu" else torch.bfloat16)
    try:
        with _quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                name,
                num_labels=1,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=new_head,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ScoreError(
            f"{name}: could not be loaded as a sequence-classification model: {error}"
        ) from error
    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        raise ScoreError(
            f"{name}: {type(model).__name__}: expected a linear head `score` without bias, got {head}"
        )
    missing = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    missing -= {"score.weight"} if new_head else set()
    if missing:
        raise ScoreError(
            f"{name}: expected the weights of a {type(model).__name__}; missing: {', '.join(sorted(missing))}"
        )
    return model.to(device)


def load_tokenizer(name: str) -> Any:
    """The tokenizer beside a model."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except Exception as error:
        raise ScoreError(f"{name}: expected a tokenizer beside the model: {error}") from error
    # transformers makes an empty tokenizer where the files are missing.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ScoreError(f"{name}: expected a tokenizer beside the model; there is none")
    return tokenizer


def pad_token_id(model: Any, tokenizer: Any, name: str) -> int:
    """The tokenizer's padding token, else its end-of-text token: the first that the model has an embedding for."""
    num_embeddings = model.get_input_embeddings().num_embeddings
    for token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token_id is not None and token_id < num_embeddings:
            return int(token_id)
    raise ScoreError(
        f"{name}: expected a padding or end-of-text token below {num_embeddings} (the model's embeddings), "
        f"got {tokenizer.pad_token_id} and {tokenizer.eos_token_id}"
    )


def find_file(name: str, file: str) -> str | None:
    """Path of a file of a folder or hub name; None if it has none."""
    try:
        found: str | None = cached_file(
            name,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:
        return None
    return found


def read_reference_head(file: str) -> tuple[Tensor, float]:
    """Weight [1, hidden] and bias of a saved value head; the keys' prefix (`v_head.summary.` or another) does not matter."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ScoreError(f"{file}: expected a state dict saved by torch.save: {error}") from error
    tensors = (
        {key: value for key, value in state.items() if isinstance(value, Tensor)}
        if isinstance(state, dict)
        else {}
    )
    parts = {key.rpartition(".")[2]: value for key, value in tensors.items()}
    bias = parts.get("bias", torch.zeros(1))
    if (
        len(parts) != len(tensors)
        or not {"weight"} <= set(parts) <= {"weight", "bias"}
        or bias.numel() != 1
    ):
        got = (
            ", ".join(f"{key} {list(value.shape)}" for key, value in tensors.items())
            or type(state).__name__
        )
        raise ScoreError(
            f"{file}: expected one weight [1, hidden] and at most one bias [1], got {got}"
        )
    return parts["weight"], float(bias)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report of a missing head and an unused one: both are as they should be."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
