"""Draws of a model in this process, as a trainer's engine would make them."""

from typing import Any

import torch


@torch.inference_mode()
def draw_tokens(
    model: Any, eos: int, ids: list[int], sampling: dict[str, Any]
) -> tuple[list[int], list[float]]:
    """Return drawn tokens and their log-probabilities, up to a stop token or `max_tokens`."""
    draw = torch.Generator().manual_seed(sampling["seed"])
    stops = {eos, *sampling["stop_token_ids"]}
    inputs, past, drawn, logprobs = torch.tensor([ids]), None, list[int](), list[float]()
    while len(drawn) < sampling["max_tokens"] and not (drawn and drawn[-1] in stops):
        output = model(inputs, past_key_values=past, use_cache=True)
        past = output.past_key_values
        scores = output.logits[0, -1].log_softmax(-1)
        drawn.append(int(torch.multinomial(scores.exp(), 1, generator=draw)))
        logprobs.append(float(scores[drawn[-1]]))
        inputs = torch.tensor([drawn[-1:]])
    return drawn, logprobs
