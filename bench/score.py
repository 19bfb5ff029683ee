"""Scoring and training a PPM on trees: every token once, against the ways it is done elsewhere.

    python bench/score.py [--quick] [--model embedded|0.5B|1.5B|7B|DIR ...] [--layers N] [--depth 8 16] [--candidates 8 32]

The work is what a search asks for: level by level the siblings below one node of every tree, question 150 tokens, step 60. Nodes
are scored by a forward per path (the reference), behind an engine's prefix cache (Hugging Face's cache, blocks of 16), packed under
a dense mask, and by `PackedScorer`, as in a search and for whole finished trees; the scores must agree before anything is timed.
Training is forward and backward over the pairs of every level, two siblings against two: pair by pair, each text once, and packed.

"0.5B" and so on are random models of Qwen2.5's shapes; `--layers` cuts them down, and so is their vocabulary (a PPM has no output
layer). On a GPU: `python bench/score.py --model 7B --dtype bfloat16 --candidates 32`. The sides take turns; medians of the repeats,
by the processor's clock on a CPU.
Prints a card, tables and, as the last line, one JSON document: `tokens_encoded_per_distinct` (ours, the worst row),
`speedup_vs_per_path` (ours in a search, by row), and the rows.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lib.card import print_card
from lib.score_sides import SCORING, SIBLINGS, TRAINING, Numbers, Work
from transformers import AutoModelForSequenceClassification, Qwen2Config

from rstar_fast.embedded import ppm_path
from rstar_fast.ppm import PPM, ScoreSpec
from rstar_fast.search.engines import DTYPES, EMBEDDED

SHAPES: dict[str, dict[str, int]] = {
    "0.5B": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "num_hidden_layers": 24,
    },
    "1.5B": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "num_hidden_layers": 28,
    },
    "7B": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "num_hidden_layers": 28,
    },
}
VOCABULARY = 1000
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
SEARCH, WHOLE = "packed, sparse", "packed, whole trees"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", nargs="+", default=[EMBEDDED], help="embedded, 0.5B, 1.5B, 7B, or a PPM's folder"
    )
    parser.add_argument("--layers", type=int, help="of the random models (default: all)")
    parser.add_argument("--depth", type=int, nargs="+", default=[8, 16])
    parser.add_argument(
        "--candidates", type=int, nargs="*", default=[8, 32], help="none: no scoring"
    )
    parser.add_argument("--trees", type=int, default=2, help="that grow side by side")
    parser.add_argument("--question", type=int, default=150, help="tokens")
    parser.add_argument("--step", type=int, default=60, help="tokens")
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--device", help="default: a GPU where there is one")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--skip-training", action="store_true")
    parser.add_argument("--quick", action="store_true", help="ends within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.depth, args.candidates, args.trees, args.repeats = [8], [8], 1, 1
    torch.set_num_threads(args.threads)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    print_card(
        device=device,
        dtype=args.dtype,
        threads=args.threads,
        question=args.question,
        step=args.step,
        trees=args.trees,
    )
    rows = []
    with torch.device(device):
        for name in args.model:
            ppm = load(name, args.layers, device, getattr(torch, args.dtype))
            rows += [
                scoring_row(name, ppm, depth, count, args)
                for depth in args.depth
                for count in args.candidates
            ]
            if not args.skip_training:
                rows.append(training_row(name, ppm, min(args.depth), args))
    ours = [
        row["sides"][side]["tokens_per_distinct"]
        for row in rows
        for side in (SEARCH, WHOLE, "packed")
        if side in row["sides"]
    ]
    speedups = {row["name"]: row["sides"][row["ours"]]["speedup"] for row in rows}
    print(
        json.dumps(
            {
                "tokens_encoded_per_distinct": max(ours),
                "speedup_vs_per_path": speedups,
                "rows": rows,
            }
        )
    )


def load(name: str, layers: int | None, device: str, dtype: torch.dtype) -> PPM:
    """A PPM that reads numbers for texts."""
    if name in SHAPES:
        torch.manual_seed(0)
        shape = {
            **SHAPES[name],
            "max_position_embeddings": 8192,
            "vocab_size": VOCABULARY,
            "num_labels": 1,
        }
        config = Qwen2Config(**{**shape, **({"num_hidden_layers": layers} if layers else {})})
        model: Any = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
    else:
        model = PPM.from_pretrained(
            ppm_path() if name == EMBEDDED else name, device=device, dtype=dtype
        ).model
        # Random tokens are no text: the embedded model's context is for problems that are shorter.
        model.config.max_position_embeddings = max(8192, model.config.max_position_embeddings)
        model.config.ppm_likelihood = 0.0  # nor did a policy write them
    return PPM(model.to(device), Numbers(), name, ScoreSpec(prompt="{question}"))


def scoring_row(
    name: str, ppm: PPM, depth: int, candidates: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Score one work by every side."""
    work = Work.draw(args.trees, depth, candidates, args.question, args.step, _vocabulary(ppm))
    sides: dict[str, Callable[[], Any]] = {
        side: (lambda run=run: run(ppm, work, args.batch_tokens)) for side, run in SCORING.items()
    }
    title = f"{name}, {ppm.model.config.num_hidden_layers} layers: scoring, depth {depth}, {candidates} candidates"
    return compare(
        title,
        sides,
        SEARCH,
        work.num_nodes,
        work.distinct,
        TOLERANCE[ppm.model.dtype],
        args.repeats,
    )


def training_row(name: str, ppm: PPM, depth: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train on one work by every side; gradients must agree as well."""
    work = Work.draw(args.trees, depth, SIBLINGS, args.question, args.step, _vocabulary(ppm))
    gradients: list[torch.Tensor] = []

    def train(run: Callable[[PPM, Work, int], Any]) -> Any:
        ppm.model.zero_grad()
        found = run(ppm, work, args.batch_tokens)
        if len(gradients) < len(TRAINING):
            gradients.append(
                torch.cat(
                    [
                        weight.grad.flatten()
                        for weight in ppm.model.parameters()
                        if weight.grad is not None
                    ]
                )
            )
        return found

    sides: dict[str, Callable[[], Any]] = {
        side: (lambda run=run: train(run)) for side, run in TRAINING.items()
    }
    title = f"{name}, {ppm.model.config.num_hidden_layers} layers: training, depth {depth}, {work.num_nodes} nodes in pairs"
    tolerance = TOLERANCE[ppm.model.dtype]
    row = compare(title, sides, "packed", work.num_nodes, work.distinct, tolerance, args.repeats)
    error = max(float((one - gradients[0]).norm() / gradients[0].norm()) for one in gradients)
    if not error < 10 * tolerance:
        raise SystemExit(f"{title}: the gradients differ by {error:.2g} of their size")
    return row


def compare(
    title: str,
    sides: dict[str, Callable[[], Any]],
    ours: str,
    nodes: int,
    distinct: int,
    tolerance: float,
    repeats: int,
) -> dict[str, Any]:
    """Hold the sides to one result, then time them in turns; the first is what the others are compared with."""
    found = {side: run() for side, run in sides.items()}
    first = np.asarray(next(iter(found.values()))[0])
    differs = {
        side: float(np.max(np.abs(np.asarray(result) - first)))
        for side, (result, _) in found.items()
    }
    if not max(differs.values()) < tolerance:
        raise SystemExit(f"{title}: the results differ by up to {differs}: nothing is timed")
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            begin = _now()
            run()
            seconds[side].append(_now() - begin)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    base = medians[next(iter(sides))]
    rows = {
        side: {
            "nodes_per_s": nodes / medians[side],
            "speedup": base / medians[side],
            "tokens_per_distinct": found[side][1] / distinct,
            "max_difference": differs[side],
        }
        for side in sides
    }
    print(
        f"\n{title}\n{'':24}{'nodes/s':>10}{'min':>10}{'max':>10}{'faster':>9}{'encoded/distinct':>18}{'differs':>10}"
    )
    for side, row in rows.items():
        spread = f"{nodes / max(seconds[side]):10.1f}{nodes / min(seconds[side]):10.1f}"
        text = f"{side:24}{row['nodes_per_s']:10.1f}{spread}{row['speedup']:8.2f}x{row['tokens_per_distinct']:18.2f}"
        print(f"{text}{row['max_difference']:10.1e}", flush=True)
    return {"name": title, "ours": ours, "sides": rows}


def _vocabulary(ppm: PPM) -> int:
    return min(VOCABULARY, int(ppm.model.get_input_embeddings().num_embeddings))


def _now() -> float:
    """Seconds: on a CPU those of the processor, which other programs disturb less."""
    if torch.get_default_device().type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
