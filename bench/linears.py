"""How long do the linear layers of a decoding step take on a CPU, by the type of their weights?

    python bench/linears.py [--shapes 0.5B 135M] [--rows 8 32 64 128] [--quick]

The layers have random weights and the shapes of Qwen2.5-0.5B and SmolLM2-135M, heads among them.
The sides are float32 as torch has it, and those of `TransformersPolicy`: float32 and bfloat16 as
`arrange_linears` leaves them, and int8 with inputs that are quantized for each token. The sides
take turns, in one thread. A step is the layers of one block, times the number of blocks, and the
head. It goes over four blocks of weights: they are too large for any cache. The table has medians
of processor time in milliseconds. The last line is one JSON document.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from lib.card import print_card
from torch import nn

from rstar_fast.errors import ConfigError
from rstar_fast.policy.cpu_linear import arrange_linears
from rstar_fast.policy.int8_linear import check_int8, quantize_linears
from rstar_fast.policy.loading import dtype_beside_int8

BLOCKS = 4


class Shape(NamedTuple):
    """Sizes of a model: blocks, hidden, keys and values, feed-forward, vocabulary."""

    num_blocks: int
    hidden: int
    kept: int
    inner: int
    vocabulary: int

    def block(self) -> nn.ModuleList:
        """Return the layers of one block in the order in which they run."""
        hidden = self.hidden
        sizes = [(hidden, hidden), (hidden, self.kept), (hidden, self.kept), (hidden, hidden)]
        sizes += [(hidden, self.inner), (hidden, self.inner), (self.inner, hidden)]
        return nn.ModuleList(nn.Linear(*size, bias=False) for size in sizes)


SHAPES = {"0.5B": Shape(24, 896, 128, 4864, 151_936), "135M": Shape(30, 576, 192, 1536, 49_152)}
SHARED_INPUTS = ((0, 1, 2), (3,), (4, 5), (6,))
"""Layers of a block that have the same inputs."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help="models (all)")
    add("--rows", type=int, nargs="+", default=[8, 32, 64, 128], help="tokens of a step")
    add("--repeats", type=int, default=12, help="turns of each side (12)")
    add("--quick", action="store_true", help="135M, two sizes and three turns")
    args = parser.parse_args()
    if args.quick:
        args.shapes, args.rows, args.repeats = ["135M"], [8, 64], 3
    torch.set_num_threads(1)
    print_card(shapes=args.shapes, rows=args.rows, repeats=args.repeats)
    measured = []
    for name in args.shapes:
        measured += measure(name, args.rows, args.repeats)
    sides = list(measured[0]["ms"])
    print(f"{'shape, rows':<14}" + "".join(f"{side:>22}" for side in sides))
    for one in measured:
        slowest = max(one["ms"].values())
        figures = "".join(f"{ms:>13.1f} ({slowest / ms:>4.2f}x)" for ms in one["ms"].values())
        print(f"{one['shape']}, {one['rows']:<8}{figures}")
    print(json.dumps({"measured": measured}))


@torch.inference_mode()
def measure(name: str, rows: list[int], repeats: int) -> list[dict[str, Any]]:
    """Return the milliseconds of a step, by shape, rows and type."""
    shape = SHAPES[name]
    sides = {side: Side(shape, make) for side, make in available().items()}
    measured = []
    for tokens in rows:
        times: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(repeats + 1):
            for side, model in sides.items():
                ms = model.step(tokens, turn)
                # The first turn makes the products ready.
                if turn:
                    times[side].append(ms)
        ms = {side: statistics.median(found) for side, found in times.items()}
        measured.append({"shape": name, "rows": tokens, "ms": ms})
    return measured


def available() -> dict[str, Callable[[nn.Module], torch.dtype]]:
    """Return functions that prepare a model's layers, and return the type of their inputs."""

    def plain(model: nn.Module) -> torch.dtype:
        return torch.float32

    def arranged(dtype: torch.dtype, model: nn.Module) -> torch.dtype:
        arrange_linears(model.to(dtype))
        return dtype

    def quantized(model: nn.Module) -> torch.dtype:
        dtype = dtype_beside_int8(torch.device("cpu"))
        quantize_linears(model.to(dtype))
        return dtype

    sides: dict[str, Callable[[nn.Module], torch.dtype]] = {
        "float32, plain": plain,
        "float32": partial(arranged, torch.float32),
        "bfloat16": partial(arranged, torch.bfloat16),
    }
    try:
        check_int8(torch.device("cpu"))
    except ConfigError as error:
        print(f"no int8: {error}")
        return sides
    return {**sides, "int8": quantized}


class Side:
    """The layers of a model in one type."""

    def __init__(self, shape: Shape, prepare: Callable[[nn.Module], torch.dtype]) -> None:
        self._shape = shape
        blocks = nn.ModuleList(shape.block() for _ in range(BLOCKS))
        head = nn.ModuleList([nn.Linear(shape.hidden, shape.vocabulary, bias=False)])
        self._model = nn.ModuleList([*blocks, head])
        self._dtype = prepare(self._model)

    def step(self, tokens: int, seed: int) -> float:
        """Return the milliseconds of processor time of a step."""
        torch.manual_seed(seed)
        *blocks, head = self._model
        hidden, inner = self._shape.hidden, self._shape.inner
        sizes = [hidden, hidden, hidden, inner]
        inputs = [torch.randn(1, tokens, size).to(self._dtype) for size in sizes]
        before = time.process_time()
        for block in blocks:
            for given, layers in zip(inputs, SHARED_INPUTS, strict=True):
                # A tensor of its own, as in a model.
                given = given.clone()
                for layer in layers:
                    block[layer](given)
        between = time.process_time()
        head[0](inputs[0].clone())
        end = time.process_time()
        per_block = (between - before) / BLOCKS
        return 1e3 * (per_block * self._shape.num_blocks + end - between)


if __name__ == "__main__":
    main()
