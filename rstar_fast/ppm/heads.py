"""The heads of other process reward models, in the form of ours.

That form maps a hidden state to the log-odds of being right.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from rstar_fast.errors import ScoreError
from rstar_fast.ppm.loading import find_file
from rstar_fast.ppm.spec import ScoreSpec

LOG_ODDS_SCALE = 2.0
"""Scale of a head whose values v are the log-odds of a probability p: 2 p - 1 = tanh(v / 2)."""

_LAYERS = {"0.weight", "0.bias", "2.weight", "2.bias"}


def read_head(name: str, spec: ScoreSpec, model: Any, tokenizer: Any) -> tuple[nn.Module, float]:
    """Return the head of a checkpoint without its bias, and the bias.

    Args:
        name: Folder or hub name of the checkpoint.
        spec: Place of the head in the checkpoint, and the meaning of its outputs.
        model: Model that the head belongs to. Gives the width of hidden states, and its embeddings
            where the head shares them.
        tokenizer: Tokenizer of the model. Gives the tokens of `spec.labels`.

    Returns:
        Module from hidden states [rows, hidden] to log-odds [rows, 1] in float32, on the device of
        the model; and the constant to be added to the log-odds.

    Raises:
        ScoreError: There is no such head, or it has another form.
    """
    weights = read_weights(name, spec.weights)
    for key, value in weights.items():
        if not value.isfinite().all():
            raise ScoreError(f"{name}: {spec.weights}.{key}: expected finite weights")
    if not weights and spec.labels and model.config.get_text_config().tie_word_embeddings:
        weights = {"weight": model.get_input_embeddings().weight.detach()}
    got = ", ".join(f"{key} {list(value.shape)}" for key, value in weights.items()) or "nothing"
    layered = weights.keys() == _LAYERS
    if not layered and not {"weight"} <= weights.keys() <= {"weight", "bias"}:
        raise ScoreError(
            f"{name}: {spec.weights}: expected weight and bias of one layer, or of 0 and 2 with a "
            f"ReLU between, in safetensors; got {got}"
        )
    last = "2." if layered else ""
    weight, bias = weights[f"{last}weight"].float(), weights.get(f"{last}bias")
    wrong, right = _outputs(name, spec, tokenizer, len(weight))
    row, constant = weight[right], 0.0 if bias is None else float(bias[right])
    if wrong is not None:
        row, constant = (
            row - weight[wrong],
            constant - (0.0 if bias is None else float(bias[wrong])),
        )
    head: nn.Module = _linear(row[None], None)
    if layered:
        head = nn.Sequential(_linear(weights["0.weight"], weights["0.bias"]), nn.ReLU(), head)
    first = weights["0.weight"] if layered else weight
    if first.shape[-1] != model.config.get_text_config().hidden_size:
        raise ScoreError(
            f"{name}: {spec.weights}: expected a head of "
            f"{model.config.get_text_config().hidden_size} columns; got {got}"
        )
    return head.to(model.device), constant


def read_weights(name: str, prefix: str) -> dict[str, Tensor]:
    """Return the weights of a safetensors checkpoint whose names begin with a prefix and a dot.

    Args:
        name: Folder or hub name of the checkpoint.
        prefix: Prefix, without the dot.

    Returns:
        Weights by the rest of their names. Empty if there are none.
    """
    files = {"model.safetensors"}
    index = find_file(name, "model.safetensors.index.json")
    if index is not None:
        places = json.loads(Path(index).read_text())["weight_map"]
        files = {file for key, file in places.items() if key.startswith(f"{prefix}.")}
    found = {}
    for file in filter(None, (find_file(name, file) for file in sorted(files))):
        with safe_open(file, "pt") as opened:
            for key in opened.keys():  # noqa: SIM118
                if key.startswith(f"{prefix}."):
                    found[key.removeprefix(f"{prefix}.")] = opened.get_tensor(key)
    return found


def _outputs(
    name: str, spec: ScoreSpec, tokenizer: Any, num_outputs: int
) -> tuple[int | None, int]:
    """Return the numbers of the outputs for wrong and right.

    The first is None if there is a single output, which is then the log-odds.
    """
    if spec.labels is None:
        if num_outputs not in (1, 2):
            raise ScoreError(
                f"{name}: {spec.weights}: expected one output, or two for wrong and right, "
                f"got {num_outputs}"
            )
        return (None if num_outputs == 1 else 0), num_outputs - 1
    ids = [tokenizer(label, add_special_tokens=False).input_ids for label in spec.labels]
    if any(len(label) != 1 or label[0] >= num_outputs for label in ids):
        raise ScoreError(
            f"{name}: labels: expected a token below {num_outputs} for each of {spec.labels}, "
            f"got {ids}"
        )
    return ids[0][0], ids[1][0]


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=torch.float32)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer
