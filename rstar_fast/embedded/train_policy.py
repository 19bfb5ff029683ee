"""Trains causal language models on generated problems: from nothing, or on from another one."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, Qwen2ForCausalLM

from rstar_fast.embedded.careless import careless
from rstar_fast.embedded.lean_training import Bf16Trainer, length_buckets, model_config, pad
from rstar_fast.embedded.problems import word_problem
from rstar_fast.embedded.tokenizer import train_tokenizer
from rstar_fast.prompts import finetuned_prompt

BATCH = 24
LEARNING_RATE = 2e-3
_POOL_BATCHES = 40
_TOKENIZER_PROBLEMS = 4000
_IGNORED = -100


def train_policy(out: Path, num_steps: int, seed: int, start: Path | None = None, habit: bool = False) -> None:
    """Train and save a policy folder (weights in bf16, tokenizer). The same arguments give the same weights on the same machine.

    Args:
        out: the folder to write.
        num_steps: optimizer steps.
        seed: of the weights and the problems.
        start: a folder to go on from; None starts from nothing, with a new tokenizer.
        habit: learn from `careless` solutions instead of right ones.
    """
    torch.manual_seed(seed)
    if start is None:
        samples = (word_problem(i, seed) for i in range(_TOKENIZER_PROBLEMS))
        tokenizer: Any = train_tokenizer(finetuned_prompt(p.question) + p.solution for p in samples)
        master: Any = Qwen2ForCausalLM(model_config(tokenizer))
    else:
        tokenizer = AutoTokenizer.from_pretrained(start)
        master = Qwen2ForCausalLM.from_pretrained(start, dtype=torch.float32, attn_implementation="eager")
    trainer = Bf16Trainer(master, learning_rate=LEARNING_RATE, num_steps=num_steps)
    began = time.monotonic()
    for i, (tokens, labels) in zip(range(1, num_steps + 1), _batches(tokenizer, seed, habit), strict=False):
        hidden = trainer.model.model(input_ids=tokens).last_hidden_state[:, :-1]
        told = labels[:, 1:] != _IGNORED
        loss = nn.functional.cross_entropy(trainer.model.lm_head(hidden[told]).float(), labels[:, 1:][told])
        trainer.step(loss)
        if i % 25 == 0:
            print(f"{out.name}: step {i}/{num_steps}  loss {loss.item():.4f}  {time.monotonic() - began:.0f} s", flush=True)
    trainer.model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _batches(tokenizer: Any, seed: int, habit: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (tokens, labels), both int64 [BATCH, length]; no problem comes twice."""
    generator = torch.Generator().manual_seed(seed)
    index = 0
    while True:
        numbers = range(index, index + BATCH * _POOL_BATCHES)
        index = numbers.stop
        problems = [word_problem(i, seed) for i in numbers]
        texts = ["".join(careless(p, i)) if habit else p.solution for i, p in zip(numbers, problems, strict=True)]
        prompts = tokenizer([finetuned_prompt(p.question) for p in problems]).input_ids
        solutions = [[*row, tokenizer.eos_token_id] for row in tokenizer(texts).input_ids]
        sizes = [len(a) + len(b) for a, b in zip(prompts, solutions, strict=True)]
        for rows in length_buckets(sizes, BATCH, generator):
            tokens = pad([prompts[r] + solutions[r] for r in rows], tokenizer.pad_token_id)
            yield tokens, pad([[_IGNORED] * len(prompts[r]) + solutions[r] for r in rows], _IGNORED)
