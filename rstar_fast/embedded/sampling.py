"""A plain batched sampler of whole solutions, for training data and quick checks. Search has its own engine: this is not it."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StaticCache

from rstar_fast.embedded.problems import run_steps
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import END_OF_ANSWER, END_OF_CODE, observation_suffix

_BATCH = 192


@torch.no_grad()
def sample_solutions(
    model: Any,
    tokenizer: Any,
    questions: Sequence[str],
    temperature: float = 0.0,
    seed: int = 0,
    max_tokens: int = 192,
) -> list[str]:
    """One solution per question; the code's observation is put in where the code ends.

    Args:
        model: a causal LM.
        tokenizer: its tokenizer.
        questions: may repeat.
        temperature: 0 is greedy.
        seed: of the draws.
        max_tokens: a solution is cut after this many.
    """
    generator = torch.Generator().manual_seed(seed)
    prompts = tokenizer([finetuned_prompt(q) for q in questions]).input_ids
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    solutions = [""] * len(prompts)
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        texts = _sample_batch(model, tokenizer, [prompts[r] for r in rows], temperature, generator, max_tokens)
        for row, text in zip(rows, texts, strict=True):
            solutions[row] = text
    return solutions


def _sample_batch(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    temperature: float,
    generator: torch.Generator,
    max_tokens: int,
) -> list[str]:
    width = max(map(len, prompts))
    tokens = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + p for p in prompts])
    mask = torch.zeros(len(prompts), width + max_tokens, dtype=torch.long)
    mask[:, :width] = tokens != tokenizer.pad_token_id
    mask[:, width:] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = StaticCache(config=model.config, max_cache_len=width + max_tokens)
    closing, finish = tokenizer.convert_tokens_to_ids([END_OF_CODE, END_OF_ANSWER])
    written: list[list[int]] = [[] for _ in prompts]
    forced: list[list[int]] = [[] for _ in prompts]
    alive = [True] * len(prompts)
    begin = 0
    for end in range(width, width + max_tokens):
        hidden = model.model(
            input_ids=tokens,
            attention_mask=mask[:, :end],
            position_ids=positions[:, begin:end],
            past_key_values=cache,
            cache_position=torch.arange(begin, end),
        ).last_hidden_state[:, -1]
        logits = model.lm_head(hidden).float()
        if temperature == 0:
            drawn = logits.argmax(-1).tolist()
        else:
            drawn = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator).flatten().tolist()
        for i, token in enumerate(drawn):
            if not alive[i]:
                continue
            token = forced[i].pop(0) if forced[i] else token
            drawn[i] = token
            written[i].append(token)
            if token == closing:
                printed = run_steps((tokenizer.decode(written[i]),))[1]
                forced[i] = tokenizer(observation_suffix("error" if printed is None else printed)).input_ids
            alive[i] = token not in (finish, tokenizer.eos_token_id)
        if not any(alive):
            break
        tokens, begin = torch.tensor(drawn)[:, None], end
    return [tokenizer.decode(row) for row in written]
