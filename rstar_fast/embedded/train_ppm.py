"""Trains the embedded PPM: a scalar head on a policy, and pairs of right and wrong steps.

Per generated problem there is the reference solution and two careless ones. Every step before the first mistake is right, every
later one, the final answer included, is wrong; every right step of a problem is paired with every wrong one, whatever their depth,
since search compares scores across branches.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen2ForSequenceClassification

from rstar_fast.embedded.careless import careless
from rstar_fast.embedded.lean_training import Bf16Trainer, length_buckets, pad
from rstar_fast.embedded.problems import WordProblem, run_steps, word_problem
from rstar_fast.prompts import finetuned_prompt

BATCH = 8
LEARNING_RATE = 1e-3
SHARPNESS = 4.0
"""The loss sees SHARPNESS * score: the scores stay small, where tanh still tells them apart."""
_POOL_BATCHES = 25


@dataclass(frozen=True)
class Solution:
    """Node texts, and how many of them are right (all those in front of the first mistake)."""

    steps: tuple[str, ...]
    num_right: int


def train_ppm(out: Path, num_steps: int, seed: int, start: Path) -> None:
    """Train and save a PPM folder (weights in bf16, tokenizer). The same arguments give the same weights on the same machine.

    Args:
        out: the folder to write.
        num_steps: optimizer steps.
        seed: of the head, the problems and the mistakes.
        start: folder of the causal model the PPM is made from.
    """
    torch.manual_seed(seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    master: Any = Qwen2ForSequenceClassification.from_pretrained(
        start, num_labels=1, dtype=torch.float32, attn_implementation="eager"
    )
    master.config.ppm_scale = 1.0
    nn.init.normal_(master.score.weight, std=0.02)
    trainer = Bf16Trainer(master, learning_rate=LEARNING_RATE, num_steps=num_steps)
    began = time.monotonic()
    for i, batch in zip(range(1, num_steps + 1), _batches(tokenizer, seed), strict=False):
        pairs, ordered, alone = _loss(trainer.model, batch)
        trainer.step(pairs + alone)
        if i % 25 == 0:
            took = time.monotonic() - began
            print(
                f"{out.name}: step {i}/{num_steps}  pairs {pairs:.4f}  ordered {ordered:.3f}  alone {alone:.4f}  {took:.0f} s",
                flush=True,
            )
    trainer.model.save_pretrained(out)
    tokenizer.save_pretrained(out)


@dataclass(frozen=True)
class Batch:
    """Rows of several problems.

    Attributes:
        tokens: int64 [rows, length].
        told: bool [rows, length], the tokens of solutions.
        clean: bool [rows, length], the tokens in front of the mistake.
        scored: bool [rows, length], the last tokens of steps.
        right: bool [scores], in the order of `scored`.
        problem: int64 [scores], which problem a score belongs to.
    """

    tokens: Tensor
    told: Tensor
    clean: Tensor
    scored: Tensor
    right: Tensor
    problem: Tensor


def _loss(model: Any, batch: Batch) -> tuple[Tensor, float, Tensor]:
    """Pair loss over steps, share of pairs in order, and the loss that judges every token and every step on its own."""
    logits = SHARPNESS * model.score(model.model(input_ids=batch.tokens).last_hidden_state).float().squeeze(-1)
    scores = logits[batch.scored]
    margins = scores[batch.right][:, None] - scores[~batch.right][None, :]
    paired = batch.problem[batch.right][:, None] == batch.problem[~batch.right][None, :]
    pairs = nn.functional.softplus(-margins[paired]).mean()
    # Against zero, so that a mistake is seen where it is made and all problems share one scale.
    judge = nn.functional.binary_cross_entropy_with_logits
    alone = judge(logits[batch.told], batch.clean[batch.told].float()) + judge(scores, batch.right.float())
    return pairs, (margins[paired] > 0).float().mean().item(), alone


def _batches(tokenizer: Any, seed: int) -> Iterator[Batch]:
    """Endless batches of BATCH problems; no problem comes twice."""
    generator = torch.Generator().manual_seed(seed)
    index = 0
    while True:
        numbers = range(index, index + BATCH * _POOL_BATCHES)
        index = numbers.stop
        groups = [(problem, _solutions(problem, i)) for i in numbers for problem in [word_problem(i, seed)]]
        for rows in length_buckets([len(p.question) + len(p.solution) for p, _ in groups], BATCH, generator):
            yield _batch(tokenizer, [groups[r] for r in rows])


def _solutions(problem: WordProblem, number: int) -> list[Solution]:
    """The right solution, and two careless ones."""
    found = [Solution(problem.steps, len(problem.steps))]
    for steps in (careless(problem, 2 * number), careless(problem, 2 * number + 1)):
        wrong = (i for i in range(len(steps)) if run_steps(steps[: i + 1]) != run_steps(problem.steps[: i + 1]))
        found.append(Solution(steps, next(wrong, len(steps))))
    return found


def _batch(tokenizer: Any, groups: list[tuple[WordProblem, list[Solution]]]) -> Batch:
    tokens, told, clean, scored, right, number = [], [], [], [], [], []
    for i, (problem, solutions) in enumerate(groups):
        prompt = tokenizer(finetuned_prompt(problem.question)).input_ids
        reference = tokenizer(list(problem.steps)).input_ids
        outside = [0] * len(prompt)
        for solution in solutions:
            steps = tokenizer(list(solution.steps)).input_ids
            length = sum(map(len, steps))
            num_clean = _num_clean_tokens(steps, reference, solution.num_right)
            tokens.append(prompt + [token for step in steps for token in step])
            told.append(outside + [1] * length)
            clean.append(outside + [int(j < num_clean) for j in range(length)])
            scored.append(outside + [int(j == len(step) - 1) for step in steps for j in range(len(step))])
            right += [j < solution.num_right for j in range(len(steps))]
            number += [i] * len(steps)
    return Batch(
        tokens=pad(tokens, tokenizer.pad_token_id),
        told=pad(told, 0).bool(),
        clean=pad(clean, 0).bool(),
        scored=pad(scored, 0).bool(),
        right=torch.tensor(right),
        problem=torch.tensor(number),
    )


def _num_clean_tokens(steps: list[list[int]], reference: list[list[int]], num_right: int) -> int:
    """Tokens in front of the first one of the first wrong step that differs from the reference's."""
    count = sum(map(len, steps[:num_right]))
    if num_right < min(len(steps), len(reference)):
        for written, meant in zip(steps[num_right], reference[num_right], strict=False):
            if written != meant:
                break
            count += 1
    return count
