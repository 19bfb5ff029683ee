"""How fast are the kernels, forward and backward, against what torch has for the same work?

    python bench/kernels.py [--quick] [--tokens 8192 32768 131072]
    python bench/kernels.py --tune   # on a GPU: write the rows of the table for this card
    python bench/kernels.py --aot    # without one: registers, spills and shared memory

On a GPU all implementations run in bfloat16. On a CPU only those for a CPU run, in float32 and on
few tokens.

The packed tokens are those of a search's trees, as many trees as it takes. A tree has a question of
150 tokens, and 16 levels of 8 siblings of 60 tokens.

Rates count the work that cannot be avoided. For each query head and visible pair of tokens, it is
4 * dim operations forward and 10 * dim backward. "On tiles" counts the tiles of 128 x 128 tokens
that have a visible pair, which every implementation by tiles computes. "Dense causal" is torch's
attention (FlashAttention on a GPU) over one causal text of as many tokens. That is other work, and
a rate to aim for. The peak is that of a large product of matrices in the same dtype, measured in
the same run.

The value head and the preference loss move memory. Their rates are bytes per second, and their peak
is that of a large copy.

All results are compared with the definition before anything is timed. The sides take turns, and the
results are medians of the repeats. The bench prints a card, tables and, as the last line, one JSON
document.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lib.card import print_card
from lib.device_speed import peak_bandwidth, peak_flops, peak_memory_bytes, seconds_of
from lib.packed_trees import STEP, search_trees
from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.value_head import value_head

TILE = 128
"""Number of queries and of keys in a tile that the rates "on tiles" count."""
TOLERANCE = 0.02
"""Largest error that counts as agreement, as a share of the expected result's norm."""
MASK_BYTES = 1 << 30
"""Size of the largest dense mask that is tried, bytes."""

Run = Callable[[], Tensor]
"""A forward pass."""


def main() -> None:
    """Measure, tune or compile, and print the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tokens",
        type=int,
        nargs="+",
        help="numbers of packed tokens (default: 8192 32768 131072; on a CPU 2048)",
    )
    parser.add_argument(
        "--heads",
        type=int,
        nargs=2,
        default=[28, 4],
        help="number of query heads and of key heads (default: 28 4, as in a 7B model; "
        "on a CPU always 14 2)",
    )
    parser.add_argument("--dim", type=int, default=128, help="head dimension")
    parser.add_argument(
        "--width",
        type=int,
        default=3584,
        help="width of the value head's rows (default: 3584; on a CPU always 896)",
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of every side")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU")
    parser.add_argument(
        "--tune",
        action="store_true",
        help="find the fastest configurations for this GPU and write them into the table",
    )
    parser.add_argument("--budget", type=float, default=150, help="seconds of --tune")
    parser.add_argument(
        "--aot",
        action="store_true",
        help="compile for every target without a GPU, and print what the kernels take",
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.aot:
        from lib.ahead_of_time import report

        print(json.dumps({"rows": report()}))
        return
    if args.tune:
        from lib.tune import tune

        print(json.dumps({"rows": tune(args.tokens[0] if args.tokens else 32768, args.budget)}))
        return
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if on_gpu else ("cpu", torch.float32)
    if args.quick:
        args.tokens, args.repeats = args.tokens or [1024], 2
    args.tokens = args.tokens or ([8192, 32768, 131072] if on_gpu else [2048])
    if not on_gpu:
        args.heads, args.width = [14, 2], 896
    flops, bandwidth = peak_flops(device, dtype), peak_bandwidth(device)
    print_card(
        device=torch.cuda.get_device_name() if on_gpu else "cpu",
        dtype=dtype,
        heads=f"{args.heads[0]} over {args.heads[1]}, dimension {args.dim}",
        peak=f"{flops / 1e12:.3g} T operations/s, {bandwidth / 1e9:.3g} GB/s (measured)",
    )
    rows = []
    with torch.device(device):
        for tokens in args.tokens:
            rows += attention_rows(tokens, args, dtype, flops)
        rows += value_head_rows(args, dtype, bandwidth) + preference_loss_rows(args, bandwidth)
    document = {
        "peak_flops": flops,
        "peak_bytes_per_s": bandwidth,
        "peak_memory_bytes": peak_memory_bytes(),
        "rows": rows,
    }
    print(json.dumps(document))


def attention_rows(
    tokens: int, args: argparse.Namespace, dtype: torch.dtype, peak: float
) -> list[dict[str, Any]]:
    """Measure tree attention over a number of packed tokens.

    Args:
        tokens: Number of tokens.
        args: Options of the bench.
        dtype: Dtype of the tensors.
        peak: Operations per second of a product of matrices.
    """
    heads, kv_heads = args.heads
    device = str(torch.get_default_device())
    layout = search_trees(tokens, device)
    shapes = [(count, tokens, args.dim) for count in (heads, kv_heads, kv_heads)]
    inputs = [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]
    # The position of a token is the number of tokens before it on its path. It sees itself too.
    pairs = int(layout.position.astype(np.int64).sum()) + tokens
    tiles = len(layout.blocks(TILE, TILE).blocks) * TILE * TILE
    causal = tokens * (tokens + 1) // 2
    sides: dict[str, tuple[Run, int]] = {}
    for impl in ("triton", "flex") if device != "cpu" else ("blockwise", "flex"):
        name = "FlexAttention" if impl == "flex" else f"ours, {impl}"
        sides[name] = (partial(tree_attention, *inputs, layout, impl=impl), pairs)
    if tokens * tokens * inputs[0].element_size() <= MASK_BYTES:
        sides["torch, dense mask"] = (partial(_dense_mask, *inputs, layout), pairs)
    sides["dense causal"] = (partial(_causal, *inputs), causal)
    if device != "cpu":
        sides |= _flash_attention(inputs, causal)
    with torch.no_grad():
        expected = tree_attention(
            *inputs, layout, impl="reference" if tokens <= 4096 else "blockwise"
        )
        for name, (run, cost) in sides.items():
            if cost == pairs:
                _check(name, run(), expected)
    del expected
    share = (
        f"visible of all pairs {2 * pairs / tokens**2:.1%}, of those in tiles {pairs / tiles:.1%}"
    )
    print(f"\ntree attention, {tokens:,} tokens; {share}")
    rows = []
    for backward, cost in ((False, 4), (True, 10)):
        found = take_turns(
            {name: _timed(run, inputs, backward) for name, (run, _) in sides.items()}, args.repeats
        )
        print(
            f"{'backward' if backward else 'forward':28}{'ms':>10}{'T op/s':>10}{'of peak':>9}"
            f"{'on tiles':>10}{'ours is':>10}"
        )
        ours = found[next(iter(sides))]
        for name, seconds in found.items():
            if seconds is None:
                print(f"{name:28}{'-':>10}")
                continue
            rate = cost * args.dim * heads * sides[name][1] / seconds
            on_tiles = rate * tiles / pairs if sides[name][1] == pairs else rate
            faster = f"{seconds / ours:9.2f}x" if ours and sides[name][1] == pairs else ""
            rates = f"{rate / 1e12:10.3f}{rate / peak:9.1%}{on_tiles / peak:10.1%}"
            print(f"{name:28}{1e3 * seconds:10.3f}{rates}{faster}", flush=True)
            rows.append(
                {
                    "kernel": "tree_attention",
                    "tokens": tokens,
                    "side": name,
                    "backward": backward,
                    "seconds": seconds,
                    "flops": rate,
                    "of_peak": rate / peak,
                    "of_peak_on_tiles": on_tiles / peak,
                }
            )
    return rows


def value_head_rows(
    args: argparse.Namespace, dtype: torch.dtype, bandwidth: float
) -> list[dict[str, Any]]:
    """Measure the value head at one token in sixty, against norm and projection of all tokens."""
    tokens = max(args.tokens)
    hidden = torch.randn(tokens, args.width, dtype=dtype).requires_grad_()
    norm, head = (torch.randn(args.width, dtype=dtype).requires_grad_() for _ in range(2))
    index = torch.arange(STEP - 1, tokens, STEP)

    def every_token() -> Tensor:
        return (F.rms_norm(hidden, (args.width,), norm, 1e-6) @ head)[index].float()

    sides: dict[str, Run] = {
        f"ours, {impl}": (
            lambda impl=impl: value_head(hidden, index, norm, head, eps=1e-6, impl=impl)[0]
        )
        for impl in (("triton", "reference") if hidden.is_cuda else ("reference",))
    } | {"torch, every token": every_token}
    return _memory_rows(
        "value_head",
        sides,
        [hidden, norm, head],
        len(index) * args.width * hidden.element_size(),
        bandwidth,
        args,
    )


def preference_loss_rows(args: argparse.Namespace, bandwidth: float) -> list[dict[str, Any]]:
    """Measure the preference loss over 4,096 groups of two against two."""
    count = 4096
    scores = torch.randn(4 * count).requires_grad_()
    groups = PairGroups.of(
        [([4 * i, 4 * i + 1], [4 * i + 2, 4 * i + 3]) for i in range(count)], scores.device
    )
    quads = scores.view(count, 2, 2)

    def by_hand() -> Tensor:
        return F.softplus(quads[:, 1, None, :] - quads[:, 0, :, None]).mean((1, 2))

    sides: dict[str, Run] = {
        f"ours, {impl}": (lambda impl=impl: preference_loss(scores, groups, impl=impl))
        for impl in (("triton", "reference") if scores.is_cuda else ("reference",))
    } | {"torch, groups of four only": by_hand}
    return _memory_rows("preference_loss", sides, [scores], scores.numel() * 4, bandwidth, args)


def _memory_rows(
    kernel: str,
    sides: dict[str, Run],
    inputs: list[Tensor],
    num_bytes: int,
    bandwidth: float,
    args: argparse.Namespace,
) -> list[dict[str, Any]]:
    with torch.no_grad():
        expected = next(iter(sides.values()))()
        for name, run in sides.items():
            _check(name, run(), expected)
    rows = []
    for backward in (False, True):
        title = f"{kernel}, backward" if backward else kernel
        print(f"\n{title:28}{'us':>10}{'GB/s':>10}{'of peak':>9}")
        found = take_turns(
            {name: _timed(run, inputs, backward) for name, run in sides.items()}, args.repeats
        )
        for name, seconds in found.items():
            if seconds is None:
                continue
            rate = (1 + backward) * num_bytes / seconds
            print(
                f"{name:28}{1e6 * seconds:10.1f}{rate / 1e9:10.2f}{rate / bandwidth:9.1%}",
                flush=True,
            )
            rows.append(
                {
                    "kernel": kernel,
                    "side": name,
                    "backward": backward,
                    "seconds": seconds,
                    "of_peak_bandwidth": rate / bandwidth,
                }
            )
    return rows


def take_turns(
    sides: dict[str, Callable[[], float] | None], repeats: int
) -> dict[str, float | None]:
    """Time each side in turns.

    Args:
        sides: Functions by name. Each runs once and returns its seconds.
        repeats: Number of turns after the first one, which does not count.

    Returns:
        Median seconds by name. None where a side cannot run.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(repeats + 1):
        for name, side in sides.items():
            if side is not None:
                try:
                    seconds = side()
                except KernelError:
                    continue
                # The first turn also compiles kernels and allocates memory.
                found[name] += [seconds] if i else []
    return {name: statistics.median(values) if values else None for name, values in found.items()}


def _timed(run: Run, inputs: list[Tensor], backward: bool) -> Callable[[], float]:
    """Return a function that times one forward pass, or the backward pass after one."""

    def forward() -> float:
        with torch.no_grad():
            return seconds_of(run)

    def back() -> float:
        out = run()
        grad = torch.randn_like(out)
        return seconds_of(lambda: torch.autograd.grad(out, inputs, grad))

    return back if backward else forward


def _dense_mask(query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout) -> Tensor:
    mask = layout.kept.get("bench")
    if mask is None:
        end, index = layout.tensor("end"), torch.arange(layout.num_keys)
        mask = layout.kept["bench"] = (index <= index[:, None]) & (index[:, None] < end)
    return F.scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=mask, enable_gqa=True
    )[0]


def _causal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(
        query[None], key[None], value[None], is_causal=True, enable_gqa=True
    )[0]


def _flash_attention(inputs: list[Tensor], pairs: int) -> dict[str, tuple[Run, int]]:
    """Return the side of the package flash_attn if it is installed."""
    try:
        from flash_attn import flash_attn_func
    except ImportError:
        return {}
    return {
        "flash_attn, dense causal": (
            lambda: flash_attn_func(
                *(tensor.transpose(0, 1)[None] for tensor in inputs), causal=True
            )[0].transpose(0, 1),
            pairs,
        )
    }


def _check(name: str, found: Tensor, expected: Tensor) -> None:
    error = float((found.float() - expected.float()).norm() / expected.float().norm())
    if not error < TOLERANCE:
        raise SystemExit(
            f"{name}: expected an error below {TOLERANCE} of the result's norm, got {error:.2g}: "
            "nothing is timed"
        )


if __name__ == "__main__":
    main()
