"""Train the base, the policy before any round.

    python -m recipes.embedded.train_base --out DIR [--seed S]     (an hour and a half on one core)

The base knows the easy end of the three domains, and is undecided about the rest. It can also
check: a scalar head tells nodes that can be part of a right solution from others. The head is saved
beside the model. Most of the first 4,000 steps go by before the model copies numbers well.
"""

import argparse
import copy
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM

from recipes.embedded.lean_training import Bf16Trainer, length_buckets, model_config, pad
from recipes.embedded.lessons import Lesson, Stage, lesson
from recipes.embedded.tokenizer import make_tokenizer
from rstar_fast.ppm.loading import CHECK_HEAD
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import END_OF_OUTPUT, OUTPUT

NUM_STEPS = 10_000
BATCH = 24
LEARNING_RATE = 2e-3
# Shares of the steps: the first ones have short problems, to learn copying sooner.
_SHORT_UNTIL = 0.07
# A model that cannot solve has nothing to compare with, so mistakes come later.
_CHECK_FROM = 0.2
# More nonsense at the end, so that one known word does not make a wording look known.
_UNDECIDED_FROM = 0.85
# Batches that are made at once and sorted by length.
_POOL_BATCHES = 40
_IGNORED = -100
_REPORT_EVERY = 50
_SAVE_EVERY = 500


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=NUM_STEPS)
    parser.add_argument("--start", type=Path, help="base to go on from (none: random weights)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train_base(args.out, args.steps, args.seed, args.start)


def train_base(out: Path, num_steps: int, seed: int, start: Path | None = None) -> None:
    """Train the base and save its weights in fp16, its tokenizer and its check head.

    It is saved from time to time too. The same arguments give the same weights on the same machine.

    Args:
        out: Folder of the model, made if missing.
        num_steps: Number of updates, >= 1.
        seed: Seed of the weights and of the problems.
        start: Base to go on from, which can solve and check already. None for random weights.
    """
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model: Any = Qwen2ForCausalLM(model_config(tokenizer))
    model.check = nn.Linear(model.config.hidden_size, 1)
    if start is not None:
        weights = load_file(start / "model.safetensors")
        model.load_state_dict(weights, strict=False)
        model.check.load_state_dict(load_file(start / CHECK_HEAD))
    rate = LEARNING_RATE if start is None else 0.5 * LEARNING_RATE
    trainer = Bf16Trainer(model, learning_rate=rate, num_steps=num_steps)
    done = 0.0 if start is None else _CHECK_FROM
    began, totals = time.process_time(), torch.zeros(3)
    for i, batch in zip(
        range(1, num_steps + 1), _batches(tokenizer, num_steps, seed, done), strict=False
    ):
        language, check, right = _losses(trainer.model, batch)
        judged = max(i / num_steps, done) >= _CHECK_FROM
        trainer.step(language + check if judged else language)
        totals += torch.stack([language.detach(), check.detach(), right])
        if i % _REPORT_EVERY == 0:
            language, check, right = totals / _REPORT_EVERY
            took = time.process_time() - began
            print(
                f"step {i}/{num_steps}  language {language:.4f}  "
                f"check {check:.4f} ({right:.3f} right)  {took:.0f} s of processor time",
                flush=True,
            )
            totals.zero_()
        if i % _SAVE_EVERY == 0 or i == num_steps:
            _save(trainer.master, tokenizer, out)


def _save(master: Any, tokenizer: Any, out: Path) -> None:
    """Save the model in fp16 without its head, and the head beside it."""
    model = copy.deepcopy(master)
    head = {name: value.detach().clone() for name, value in model.check.named_parameters()}
    del model.check
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    save_file(head, out / CHECK_HEAD)


@dataclass(frozen=True)
class Batch:
    """Rows of prompts with solutions.

    Attributes:
        tokens: Token ids, int64 [rows, length].
        labels: Tokens to learn, int64 [rows, length], `_IGNORED` elsewhere.
        clean: Judgements to learn, float32 [rows, length]. In a judged step's own text 1 before its
            first wrong token and 0 from there on, where the right text is known. From the output
            on 1 if the node can be part of a right solution, otherwise 0. -1 elsewhere.
        ends: Whether a token is the last of a judged node, bool [rows, length].
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


def _batches(tokenizer: Any, num_steps: int, seed: int, first: float = 0.0) -> Iterator[Batch]:
    """Yield batches of `BATCH` rows of similar lengths without end.

    Args:
        tokenizer: Tokenizer of the model.
        num_steps: Number of updates of the training.
        seed: Seed of the lessons.
        first: Share of a training that the model has behind it.
    """
    rng = random.Random(f"base/{seed}/{first}")
    generator = torch.Generator().manual_seed(seed)
    for step in count(0, _POOL_BATCHES):
        done = max(step / num_steps, first)
        stage = Stage(done < _SHORT_UNTIL, done >= _CHECK_FROM, done >= _UNDECIDED_FROM)
        pool = _rows(tokenizer, [lesson(rng, stage) for _ in range(BATCH * _POOL_BATCHES)])
        for members in length_buckets([len(row.tokens) for row in pool], BATCH, generator):
            tokens, labels, clean, ends = ([pool[m][i] for m in members] for i in range(4))
            yield Batch(
                pad(tokens, tokenizer.pad_token_id),
                pad(labels, _IGNORED),
                pad(clean, -1).float(),
                pad(ends, 0).bool(),
            )


def _rows(tokenizer: Any, lessons: list[Lesson]) -> list[_Row]:
    """Return the rows of lessons."""
    # All texts at once, which is faster.
    texts = [
        text
        for one in lessons
        for text in (
            finetuned_prompt(one.question),
            *(text for step in one.steps for text in (step.text, step.meant or step.text)),
        )
    ]
    tokens = iter(tokenizer(texts).input_ids)
    return [_row(tokenizer, one, tokens) for one in lessons]


def _row(tokenizer: Any, taught: Lesson, tokens: Iterator[list[int]]) -> _Row:
    """Return the row of a lesson. The tokens to learn are none that a program printed.

    Args:
        tokenizer: Tokenizer of the model.
        taught: The lesson.
        tokens: Token ids of its prompt, and then, for each step, of its text and of the right text.
    """
    prompt = next(tokens)
    row = _Row(list(prompt), [_IGNORED] * len(prompt), [-1] * len(prompt), [0] * len(prompt))
    marks = [tokenizer.convert_tokens_to_ids(mark) for mark in (OUTPUT, END_OF_OUTPUT)]
    for step in taught.steps:
        written, meant = next(tokens), next(tokens)
        output, end = (written.index(mark) if mark in written else len(written) for mark in marks)
        num_right = len(written)
        if step.meant is not None:
            pairs = enumerate(zip(written[:output], meant, strict=False))
            num_right = next((i for i, (token, other) in pairs if token != other), num_right)
        num_learnt = num_right if step.learnt else 0
        judged = step.right is not None
        row.tokens.extend(written)
        row.labels.extend(
            t if i < num_learnt and not output < i <= end else _IGNORED
            for i, t in enumerate(written)
        )
        own = [int(i < num_right) if step.meant is not None else -1 for i in range(output)]
        whole = [int(bool(step.right))] * (len(written) - output)
        row.clean.extend(own + whole if judged else [-1] * len(written))
        row.clean[-1] = int(bool(step.right)) if judged else -1
        row.ends.extend(int(judged and i == len(written) - 1) for i in range(len(written)))
    return _Row(
        [*row.tokens, tokenizer.eos_token_id],
        [*row.labels, tokenizer.eos_token_id],
        [*row.clean, -1],
        [*row.ends, 0],
    )


if __name__ == "__main__":
    main()
