"""How fast does a PPM score and train on trees when it reads every token once?

    python bench/score.py [--quick] [--model embedded|0.5B|1.5B|7B|DIR ...] [--layers N]
                          [--depth 8 16] [--candidates 8 32]

The work is what a search asks for: level by level, the siblings below one node of every tree. A
question has 150 tokens and a step 60. Scoring compares these ways:

- a forward pass per path, which is the reference;
- an engine with a prefix cache, here Hugging Face's cache in blocks of 16 tokens;
- siblings packed into one row under a dense mask;
- `PackedScorer`, level by level as in a search, and on whole finished trees.

Training is a forward and a backward pass over the pairs of every level, two siblings against two.
It compares pair by pair, each text once, and packed trees. The results must agree before anything
is timed.

"0.5B" and so on are random models of Qwen2.5's shapes. `--layers` cuts their depth, and their
vocabulary is cut too, because a PPM has no output layer. On a GPU:
`python bench/score.py --model 7B --dtype bfloat16 --candidates 32`. The sides take turns, and the
results are medians of the repeats, by the processor's clock on a CPU.

The bench prints a card, tables and, as the last line, one JSON document:
`tokens_encoded_per_distinct` (ours, the worst row), `speedup_vs_per_path` (ours in a search, by
row) and the rows.
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
from lib.device_speed import peak_memory_bytes
from lib.score_sides import SCORING, SIBLINGS, TRAINING, Numbers, Work
from transformers import AutoModelForSequenceClassification, Qwen2Config

from rstar_fast.embedded import ppm_path
from rstar_fast.models import DTYPES
from rstar_fast.ppm import PPM, ScoreSpec
from rstar_fast.search.naming import EMBEDDED

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
    """Measure all models and print the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=[EMBEDDED],
        help="embedded, 0.5B, 1.5B, 7B, or folder of a PPM",
    )
    parser.add_argument("--layers", type=int, help="layers of the random models (default: all)")
    parser.add_argument("--depth", type=int, nargs="+", default=[8, 16])
    parser.add_argument(
        "--candidates",
        type=int,
        nargs="*",
        default=[8, 32],
        help="candidates per expansion; no number: no scoring",
    )
    parser.add_argument("--trees", type=int, default=2, help="trees that grow side by side")
    parser.add_argument("--question", type=int, default=150, help="tokens of a question")
    parser.add_argument("--step", type=int, default=60, help="tokens of a step")
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU")
    parser.add_argument("--device", help="device of the models (default: a GPU where there is one)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--skip-training", action="store_true")
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
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
                "peak_memory_bytes": peak_memory_bytes(),
            }
        )
    )


def load(name: str, layers: int | None, device: str, dtype: torch.dtype) -> PPM:
    """Return a PPM whose texts are numbers of tokens."""
    if name in SHAPES:
        torch.manual_seed(0)
        shape = {
            **SHAPES[name],
            "max_position_embeddings": 8192,
            "vocab_size": VOCABULARY,
            "num_labels": 1,
        }
        config = Qwen2Config(**{**shape, **({"num_hidden_layers": layers} if layers else {})})
        with torch.device(device):
            model: Any = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
    else:
        model = PPM.from_pretrained(
            ppm_path() if name == EMBEDDED else name, device=device, dtype=dtype
        ).model
        # The embedded model's context is made for shorter problems.
        model.config.max_position_embeddings = max(8192, model.config.max_position_embeddings)
        # No policy wrote these random tokens, so they have no likelihood.
        model.config.ppm_likelihood = 0.0
    return PPM(model.to(device), Numbers(), name, ScoreSpec(prompt="{question}"))


def scoring_row(
    name: str, ppm: PPM, depth: int, candidates: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Score the same work in every way."""
    device = str(ppm.model.device)
    work = Work.draw(
        args.trees, depth, candidates, args.question, args.step, _vocabulary(ppm), device
    )
    sides: dict[str, Callable[[], Any]] = {
        side: (lambda run=run: run(ppm, work, args.batch_tokens)) for side, run in SCORING.items()
    }
    layers = ppm.model.config.num_hidden_layers
    title = f"{name}, {layers} layers: scoring, depth {depth}, {candidates} candidates"
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
    """Train on the same work in every way. The gradients must agree too."""
    device = str(ppm.model.device)
    work = Work.draw(
        args.trees, depth, SIBLINGS, args.question, args.step, _vocabulary(ppm), device
    )
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
    layers = ppm.model.config.num_hidden_layers
    title = f"{name}, {layers} layers: training, depth {depth}, {work.num_nodes} nodes in pairs"
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
    """Check that all sides agree, time them in turns, and print a table.

    Args:
        title: Title of the table.
        sides: Functions by name. Each returns its result and the number of tokens that it encoded.
            The others are compared with the first.
        ours: Name of the side that is ours.
        nodes: Number of nodes in the work.
        distinct: Number of distinct tokens in the work.
        tolerance: Largest difference of results that counts as agreement.
        repeats: Number of repeats.
    """
    found = {side: run() for side, run in sides.items()}
    first = np.asarray(next(iter(found.values()))[0])
    differs = {
        side: float(np.max(np.abs(np.asarray(result) - first)))
        for side, (result, _) in found.items()
    }
    if not max(differs.values()) < tolerance:
        raise SystemExit(f"{title}: the results differ by up to {differs}: no result")
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
        f"\n{title}\n{'':24}{'nodes/s':>10}{'min':>10}{'max':>10}{'faster':>9}"
        f"{'encoded/distinct':>18}{'differs':>10}"
    )
    for side, row in rows.items():
        spread = f"{nodes / max(seconds[side]):10.1f}{nodes / min(seconds[side]):10.1f}"
        text = f"{side:24}{row['nodes_per_s']:10.1f}{spread}{row['speedup']:8.2f}x"
        text += f"{row['tokens_per_distinct']:18.2f}{row['max_difference']:10.1e}"
        print(text, flush=True)
    return {"name": title, "ours": ours, "sides": rows}


def _vocabulary(ppm: PPM) -> int:
    return min(VOCABULARY, int(ppm.model.get_input_embeddings().num_embeddings))


def _now() -> float:
    """Return seconds, on a CPU those of the processor, which other programs disturb less."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
