"""How the base is trained: the model's shape, batches of similar length, bf16 training with fp32 master weights."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2Config

WARM_UP_STEPS = 50


def model_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    """The models' shape: Qwen2, 4 layers of width 192, 1.7 M parameters."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = "eager"  # the fastest here for short rows in bf16 on a CPU
    return config


def length_buckets(sizes: list[int], batch: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Row numbers in batches of similar size, the batches in random order."""
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    starts = range(0, len(order) - batch + 1, batch)
    for i in torch.randperm(len(starts), generator=generator).tolist():
        yield order[starts[i] : starts[i] + batch]


def pad(rows: list[list[int]], value: int) -> Tensor:
    """int64 [len(rows), longest], filled up on the right."""
    return nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=value
    )


class Bf16Trainer:
    """AdamW on fp32 master weights; forward and backward run on a bf16 copy (twice as fast on a CPU with AVX512-BF16).

    Attributes:
        model: the bf16 copy, to be called in the loss.
        master: the fp32 weights.
    """

    def __init__(self, master: Any, *, learning_rate: float, num_steps: int) -> None:
        self.master: Any = master
        self.model: Any = copy.deepcopy(master).train()
        for weight in (
            self.model.parameters()
        ):  # not .to(): rotary frequencies must stay in fp32, as in a loaded model
            weight.data = weight.data.bfloat16()
        self._pairs = list(zip(self.master.parameters(), self.model.parameters(), strict=True))
        decayed = [p for p in master.parameters() if p.ndim > 1]
        plain = [p for p in master.parameters() if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
            lr=learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )

        def schedule(step: int) -> float:
            """Up, level, then down in a straight line over the last half."""
            return min(1.0, (step + 1) / WARM_UP_STEPS, 2.05 * (1 - step / num_steps))

        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, schedule)

    def step(self, loss: Any) -> None:
        """One update: gradients of the copy, weights of the master, the copy set from it."""
        loss.backward()
        for weight, working in self._pairs:
            weight.grad = None if working.grad is None else working.grad.float()
            working.grad = None
        nn.utils.clip_grad_norm_(self.master.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        with torch.no_grad():
            for weight, working in self._pairs:
                working.copy_(weight)
