"""Loading the parts of a PPM from folders and the hub: configuration, model and head."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification
from transformers.utils.hub import cached_file

from rstar_fast.errors import ScoreError
from rstar_fast.models.devices import find_device, find_dtype
from rstar_fast.models.loading import reason_of

REFERENCE_HEAD = "value_head.bin"
"""Head of a PPM of rStar-Math's released code: a state dict beside a causal language model."""
CHECK_HEAD = "check_head.safetensors"
"""Head of a base model that learnt to check steps: `weight` [1, hidden] and `bias` [1], float32.

Its value is the log-odds of being right so far.
"""
REFERENCE_SCALE = 5.0
"""Scale of that head: its score is tanh(v / 5)."""


def load_model(
    name: str,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
    new_head: bool,
) -> Any:
    """Load a sequence-classification model with one label.

    Args:
        name: Folder or hub name.
        device: Device of the model. None for a GPU where there is one and else the CPU.
        dtype: Number type of the weights. None for float32 on a CPU and bfloat16 elsewhere.
        new_head: Whether the caller sets the weight of the head. It may then be missing, or have
            another shape.

    Raises:
        ConfigError: There is no such device or number type.
        ScoreError: There is no such model, or weights are missing.
    """
    device = find_device(device)
    dtype = find_dtype(dtype) or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    try:
        with _quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                name,
                num_labels=1,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=new_head,
                trust_remote_code=False,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ScoreError(
            f"{name}: could not be loaded as a sequence-classification model; {reason_of(error)}"
        ) from error
    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        raise ScoreError(
            f"{name}: {type(model).__name__}: expected a linear head `score` without bias, "
            f"got {head}"
        )
    missing = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    missing -= {"score.weight"} if new_head else set()
    if missing:
        raise ScoreError(
            f"{name}: expected the weights of a {type(model).__name__}; "
            f"missing: {', '.join(sorted(missing))}"
        )
    return model.to(device)


def pad_token_id(model: Any, tokenizer: Any, name: str) -> int:
    """Return the padding token of a tokenizer, or its end-of-text token if that one is unusable.

    Args:
        model: Model. The token must have an embedding in it.
        tokenizer: Tokenizer of the model.
        name: Name of the model, for the error.

    Raises:
        ScoreError: Neither token exists and has an embedding.
    """
    num_embeddings = model.get_input_embeddings().num_embeddings
    for token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token_id is not None and token_id < num_embeddings:
            return int(token_id)
    raise ScoreError(
        f"{name}: expected a padding or end-of-text token below {num_embeddings} (the model's "
        f"embeddings), got {tokenizer.pad_token_id} and {tokenizer.eos_token_id}"
    )


def find_file(name: str, file: str) -> str | None:
    """Return the path of a file of a folder or a hub name, or None if there is no such file."""
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
    """Read a value head that was saved by the released code.

    The keys of the state dict may have any prefix, such as `v_head.summary.`.

    Args:
        file: Path of the file.

    Returns:
        Weight [1, hidden], and bias. The bias is 0 if there is none.

    Raises:
        ScoreError: The file cannot be read, or holds something else.
    """
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
    if not bias.isfinite().all():
        raise ScoreError(f"{file}: expected a finite bias, got {float(bias)}")
    return parts["weight"], float(bias)


def read_check_head(name: str) -> tuple[Tensor, float] | None:
    """Return weight [1, hidden] and bias of a base model's `CHECK_HEAD`, or None without one.

    Args:
        name: Folder or hub name of the base model.

    Raises:
        ScoreError: The file cannot be read, or holds something else.
    """
    file = find_file(name, CHECK_HEAD)
    if file is None:
        return None
    try:
        found = load_file(file)
    except Exception as error:
        raise ScoreError(f"{file}: expected safetensors: {error}") from error
    weight, bias = found.get("weight"), found.get("bias")
    if (
        found.keys() != {"weight", "bias"}
        or weight is None
        or bias is None
        or weight.ndim != 2
        or len(weight) != 1
        or bias.numel() != 1
    ):
        got = ", ".join(f"{key} {list(value.shape)}" for key, value in found.items()) or "nothing"
        raise ScoreError(f"{file}: expected weight [1, hidden] and bias [1], got {got}")
    if not weight.isfinite().all() or not bias.isfinite().all():
        raise ScoreError(f"{file}: expected finite weights")
    return weight.float(), float(bias)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the report of transformers about missing and unused heads, which are expected here."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
