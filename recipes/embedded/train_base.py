"""Train the base, the policy before any round.

    python -m recipes.embedded.train_base --out DIR [--seed S]      (about 35 minutes on one core)

The base knows every operation by its plain wording only, and is undecided about any other wording.
It can also check: its hidden states tell right steps from wrong ones, so that a scalar head finds
something to read.
"""

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM

from recipes.embedded.lean_training import Bf16Trainer, length_buckets, model_config, pad
from recipes.embedded.made_up import mixed_problem, spoilt_steps
from recipes.embedded.tokenizer import make_tokenizer
from rstar_fast.embedded.problems import MAX_EVENTS, MIN_EVENTS, GradedProblem
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import END_OF_OUTPUT, OUTPUT

NUM_STEPS = 4500
GROUPS = 8
"""Groups of three rows in each batch."""
LEARNING_RATE = 2e-3
# Number of the first steps. Their problems have two or three events, to learn copying sooner.
_SHORT_STEPS = 300
# First step that also learns to check. A model that cannot solve has nothing to compare with.
_CHECK_FROM = 1000
# First step with twice as much nonsense, so that one known word does not make a wording look known.
_UNDECIDED_FROM = 3800
_NONSENSE_SHARE = 0.3
_MADE_UP_SHARE = 0.6
# Share of judged solutions without a mistake.
_WHOLE_SHARE = 0.25
# Batches that are made at once and sorted by length.
_POOL_BATCHES = 40
_IGNORED = -100
_REPORT_EVERY = 50


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=NUM_STEPS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train_base(args.out, args.steps, args.seed)


def train_base(out: Path, num_steps: int, seed: int) -> None:
    """Train the base and save its weights in fp16 and its tokenizer.

    The same arguments give the same weights on the same machine.

    Args:
        out: Folder of the model, made if missing.
        num_steps: Number of updates, >= 1.
        seed: Seed of the weights and of the problems.
    """
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model: Any = Qwen2ForCausalLM(model_config(tokenizer))
    model.check = nn.Linear(model.config.hidden_size, 1)
    trainer = Bf16Trainer(model, learning_rate=LEARNING_RATE, num_steps=num_steps)
    began, totals = time.monotonic(), torch.zeros(3)
    for i, batch in zip(range(1, num_steps + 1), _batches(tokenizer, seed), strict=False):
        language, check, right = _losses(trainer.model, batch)
        trainer.step(language + check if i > _CHECK_FROM else language)
        totals += torch.stack([language.detach(), check.detach(), right])
        if i % _REPORT_EVERY == 0:
            language, check, right = totals / _REPORT_EVERY
            took = time.monotonic() - began
            print(
                f"step {i}/{num_steps}  language {language:.4f}  "
                f"check {check:.4f} ({right:.3f} right)  {took:.0f} s",
                flush=True,
            )
            totals.zero_()
    del trainer.master.check
    trainer.master.half().save_pretrained(out)
    tokenizer.save_pretrained(out)


@dataclass(frozen=True)
class Batch:
    """Rows of prompts with solutions.

    Attributes:
        tokens: Token ids, int64 [rows, length].
        labels: Tokens to learn, int64 [rows, length], `_IGNORED` elsewhere.
        clean: Judgements to learn, float32 [rows, length]. In a judged step 1 before its first
            wrong token and 0 from there on. In a judged answer 1 if all steps are right, otherwise
            0. -1 elsewhere.
        ends: Whether a token is the last of a judged step or answer, bool [rows, length].
    """

    tokens: Tensor
    labels: Tensor
    clean: Tensor
    ends: Tensor


class _Row(NamedTuple):
    """One row of a `Batch`."""

    tokens: list[int]
    labels: list[int]
    clean: list[int]
    ends: list[int]


def _losses(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the language model's loss, the check's loss, and the share of steps judged rightly."""
    hidden = model.model(input_ids=batch.tokens).last_hidden_state
    learnt = batch.labels[:, 1:] != _IGNORED
    logits = model.lm_head(hidden[:, :-1][learnt]).float()
    language = nn.functional.cross_entropy(logits, batch.labels[:, 1:][learnt])
    scores = model.check(hidden).float().squeeze(-1)
    judge = nn.functional.binary_cross_entropy_with_logits
    # Every token counts, so that a mistake is learnt where it is made. The ends of steps, where a
    # PPM will look, count once more.
    judged, ends = batch.clean >= 0, batch.ends
    check = judge(scores[judged], batch.clean[judged]) + judge(scores[ends], batch.clean[ends])
    return language, check, ((scores[ends] > 0) == (batch.clean[ends] > 0)).float().mean()


def _batches(tokenizer: Any, seed: int) -> Iterator[Batch]:
    """Yield batches of 3 * `GROUPS` rows without end."""
    rng = random.Random(f"base/{seed}")
    generator = torch.Generator().manual_seed(seed)
    for step in count(0, _POOL_BATCHES):
        groups = [_group(tokenizer, rng, step) for _ in range(GROUPS * _POOL_BATCHES)]
        for members in length_buckets([len(group[0][0]) for group in groups], GROUPS, generator):
            rows = [row for member in members for row in groups[member]]
            tokens, labels, clean, ends = ([row[i] for row in rows] for i in range(4))
            yield Batch(
                pad(tokens, tokenizer.pad_token_id),
                pad(labels, _IGNORED),
                pad(clean, -1).float(),
                pad(ends, 0).bool(),
            )


def _group(tokenizer: Any, rng: random.Random, step: int) -> list[_Row]:
    """Return three rows: one of a problem with nonsense, and two of problems without it.

    Only the two are judged. From `_CHECK_FROM` on most of them have mistakes.
    """
    num_events = rng.randint(2, 3) if step < _SHORT_STEPS else rng.randint(MIN_EVENTS, MAX_EVENTS)
    guessed = mixed_problem(
        rng, num_events, nonsense=_NONSENSE_SHARE * (1 + (step >= _UNDECIDED_FROM)), made_up=0.0
    )
    known = [mixed_problem(rng, num_events, nonsense=0.0, made_up=_MADE_UP_SHARE) for _ in range(2)]
    solved = (
        one.steps if step < _CHECK_FROM or rng.random() < _WHOLE_SHARE else spoilt_steps(rng, one)
        for one in known
    )
    rows = [_row(tokenizer, one, steps) for one, steps in zip(known, solved, strict=True)]
    return [_row(tokenizer, guessed, guessed.steps, judged=False), *rows]


def _row(
    tokenizer: Any, problem: GradedProblem, steps: tuple[str, ...], judged: bool = True
) -> _Row:
    """Return the row of a solution of a problem.

    The tokens to learn are right ones, and none that a program printed. Every step is judged by
    itself, so that one row has many mistakes to learn from. The answer is judged by all steps.

    Args:
        tokenizer: Tokenizer of the model.
        problem: Problem with its right steps.
        steps: Node texts of the solution, right or with mistakes.
        judged: Whether the row teaches to check.
    """
    prompt = tokenizer(finetuned_prompt(problem.question)).input_ids
    row = _Row(list(prompt), [_IGNORED] * len(prompt), [-1] * len(prompt), [0] * len(prompt))
    marks = [tokenizer.convert_tokens_to_ids(mark) for mark in (OUTPUT, END_OF_OUTPUT)]
    whole = True
    for number, (written, meant) in enumerate(
        zip(_tokens(tokenizer, steps), _tokens(tokenizer, problem.steps), strict=True)
    ):
        output, end = (written.index(mark) if mark in written else len(written) for mark in marks)
        num_learnt = num_right = len(written)
        if number < len(problem.events):
            differ = (
                i
                for i, (token, other) in enumerate(zip(written[:output], meant, strict=False))
                if token != other
            )
            num_learnt = num_right = next(differ, len(written))
            whole &= num_right == len(written)
        elif not whole:
            num_right = 0
        row.tokens.extend(written)
        row.labels.extend(
            t if i < num_learnt and not output < i <= end else _IGNORED
            for i, t in enumerate(written)
        )
        row.clean.extend(int(i < num_right) if judged else -1 for i in range(len(written)))
        row.ends.extend(int(judged and i == len(written) - 1) for i in range(len(written)))
    return row


def _tokens(tokenizer: Any, steps: tuple[str, ...]) -> list[list[int]]:
    """Return the token ids of each step, and the end of the text as one more."""
    return [*tokenizer(list(steps)).input_ids, [tokenizer.eos_token_id]]


if __name__ == "__main__":
    main()
