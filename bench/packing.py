"""What does a training step cost on packed samples, on rows, and with flash-pref?

    python bench/packing.py [--quick] [--repeats N] [--flash-pref]

A small Qwen2 of random weights takes the gradient of a policy's objective on samples of made-up
trees: eight completions of one prompt, and solutions that branch at up to eight depths. "rows" is a
forward over the samples as they are, all of one length. "packed" has every token once. The columns
count the tokens that go through a feed-forward layer, through a projection of the attention and
through the head. Gradients are compared in float64. Times are those in float32, forward and
backward, processor time by turns, the median of the repeats.

`--flash-pref` adds flash-pref, which shares the first tokens of all rows of a group: here of all
rows, or of two neighbours. It needs an old transformers, so it runs in an environment of its own:

    pip install rstar-fast flash-pref==0.1.1 torch

Without FlashAttention-2, which needs a GPU, flash-pref shares nothing in the attention. With it as
many tokens would go through the projections as through the feed-forward layers. The bench prints a
card, a table for each tree and, as the last line, one JSON document.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import numpy as np
import torch
from lib.card import print_card
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from rstar_fast.errors import PolicyError
from rstar_fast.kernels.tree_attention import TreeLayout
from rstar_fast.models.attention import AttentionSwap
from rstar_fast.ppm.packed_model import ScoreBatch, packed_attention
from rstar_fast.training_samples import Sample, pack_samples

VOCABULARY = 512
TREES = {
    "one prefix of 512 tokens, 8 completions of 64": (512, 1, 64, 8),
    "8 depths, a prompt of 64 tokens, 32 solutions of 8 steps of 24": (64, 8, 24, 32),
}
"""Arguments of `solutions` for each tree."""

_PACKED = AttentionSwap("rstar_fast_bench_packing", packed_attention, PolicyError)

Side = Callable[[Any], None]
"""A forward and a backward of a model."""


def main() -> None:
    """Compare, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument("--flash-pref", action="store_true", help="run flash-pref too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 1 if args.quick else args.repeats
    print_card(repeats=repeats)
    document = {}
    for name, (prompt, depth, step, leaves) in TREES.items():
        rows = measured(sides(solutions(prompt, depth, step, leaves), args.flash_pref), repeats)
        print(f"\n{name}\n{'side':20} feed-forward  projections    head  CPU s  gradient error")
        for side, row in rows.items():
            print(
                f"{side:20} {row['feed_forward']:12,} {row['projections']:12,} "
                f"{row['head']:7,} {row['cpu_s']:6.2f} {row['gradient_error']:15.1e}"
            )
        document[name] = rows
    print(json.dumps(document))


def solutions(prompt: int, depth: int, step: int, leaves: int) -> list[Sample]:
    """Return solutions of random tokens in depth-first order.

    Each begins like a random earlier one for a random number of steps.

    Args:
        prompt: Tokens of the prompt.
        depth: Steps of a solution.
        step: Tokens of a step.
        leaves: Number of solutions.
    """
    random = np.random.default_rng(0)
    first = random.integers(VOCABULARY, size=prompt)
    found: list[tuple[int, ...]] = []
    for _ in range(leaves):
        shared = int(random.integers(depth)) * step if found else 0
        begin = found[random.integers(len(found))][:shared] if found else ()
        fresh = random.integers(VOCABULARY, size=depth * step - shared)
        found.append((*begin, *map(int, fresh)))
    return [
        Sample(
            prompt_ids=tuple(map(int, first)),
            completion_ids=completion,
            logprobs=None,
            mask=(1,) * len(completion),
            advantages=(float(random.normal()),) * len(completion),
            versions=(0,) * len(completion),
            reward=0.0,
            share=1 / leaves,
            finished=True,
            leaf=0,
            branches_from=None,
        )
        for completion in sorted(found)
    ]


def sides(found: list[Sample], flash_pref: bool) -> dict[str, Side]:
    """Return the ways to take the gradient of the sum of advantage times log-probability."""
    ids = torch.tensor([one.prompt_ids + one.completion_ids for one in found])
    advantages = torch.tensor([(0.0,) * len(one.prompt_ids) + one.advantages for one in found])
    packed = pack_samples(found)
    layout = TreeLayout.of(packed.packed)
    drawn = np.flatnonzero(packed.weight)
    of_drawn = torch.from_numpy(packed.advantage[drawn])

    def on_rows(model: Any, around: AbstractContextManager[Any] | None = None) -> None:
        with around or nullcontext():
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
            loss = (advantages[:, 1:] * _logprobs(logits, ids[:, 1:])).sum()
            loss.backward()

    def on_pack(model: Any) -> None:
        tokens, position = (
            torch.tensor(one, dtype=torch.int64)[None]
            for one in (packed.packed.tokens, packed.packed.position)
        )
        logits = _PACKED.forward(model, tokens, position, ScoreBatch(layout)).logits[0]
        own = _logprobs(logits[packed.before[drawn]], tokens[0, drawn])
        (of_drawn.to(own) * own).sum().backward()

    def shared(group: int) -> Side:
        from flash_pref import shared_prefix

        def side(model: Any) -> None:
            mask = torch.ones_like(ids)
            options = {"input_ids": ids, "attention_mask": mask, "group_size": group}
            on_rows(model, shared_prefix(model, **options))

        return side

    found_sides: dict[str, Side] = {"rows": on_rows, "packed": on_pack}
    if flash_pref:
        found_sides["flash-pref, all rows"] = shared(len(found))
        found_sides["flash-pref, pairs"] = shared(2)
    return found_sides


def _logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]


def measured(of_sides: dict[str, Side], repeats: int) -> dict[str, dict[str, Any]]:
    """Return counts of tokens, the error of the gradient and the time of each side."""
    exact, timed = _model(torch.float64), _model(torch.float32)
    rows: dict[str, dict[str, Any]] = {}
    wanted: list[Tensor] = []
    for name, side in of_sides.items():
        counts, gradients = _counted(exact, side)
        wanted = wanted or gradients
        error = max(
            float((one - other).abs().max() / other.abs().max())
            for one, other in zip(gradients, wanted, strict=True)
        )
        rows[name] = {**counts, "gradient_error": error}
    times: dict[str, list[float]] = {name: [] for name in of_sides}
    # The first round warms up.
    for _ in range(1 + repeats):
        for name, side in of_sides.items():
            timed.zero_grad()
            began = time.process_time()
            side(timed)
            times[name].append(time.process_time() - began)
    for name, taken in times.items():
        rows[name]["cpu_s"] = median(taken[1:])
    return rows


def _model(dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return Qwen2ForCausalLM(config).to(dtype)


def _counted(model: Any, side: Side) -> tuple[dict[str, int], list[Tensor]]:
    """Return the tokens that go through parts of a model, and the gradients."""
    layer = model.model.layers[0]
    parts = {
        "feed_forward": layer.mlp,
        "projections": layer.self_attn.q_proj,
        "head": model.lm_head,
    }
    counts = dict.fromkeys(parts, 0)
    hooks = []
    for name, part in parts.items():

        def count(module: Any, arguments: tuple[Tensor, ...], name: str = name) -> None:
            counts[name] += arguments[0][..., 0].numel()

        hooks.append(part.register_forward_pre_hook(count))
    model.zero_grad()
    side(model)
    for hook in hooks:
        hook.remove()
    return counts, [one.grad.clone() for one in model.parameters()]


if __name__ == "__main__":
    main()
