"""Inputs and checks against float64 references, for all tiers of kernel tests."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from random_trees import SHAPES, TokenTree, random_tree
from torch import Tensor
from torch.nn.functional import pad

from rstar_fast._core import pack
from rstar_fast.kernels.kept_attention import KeptTable, kept_attention
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.value_head import value_head

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error of each dtype, as a share of the expected tensor's largest entry (at least 1)."""


def layout_of(tree: TokenTree, device: str = "cpu", asking: float = 1.0) -> TreeLayout:
    """Return the layout of a tree.

    A random share `asking` of the tokens ask. The others are a cached prefix.
    """
    packed = pack(tree.parents, tree.num_tokens, tree.tokens)
    if asking == 1.0:
        return TreeLayout.of(packed, device)
    chosen = np.random.default_rng(0).random(len(packed.tokens)) < asking
    return TreeLayout(packed.end, packed.position, np.flatnonzero(chosen).astype(np.int32), device)


def close(found: Tensor, expected: Tensor, dtype: torch.dtype, what: str) -> None:
    """Assert that a result is as near to the float64 reference as its dtype allows."""
    assert found.shape == expected.shape, what
    error = (found.double() - expected).abs().max().item() if found.numel() else 0.0
    bound = TOLERANCE[dtype] * max(1.0, expected.abs().max().item() if found.numel() else 1.0)
    assert error <= bound, f"{what}: error {error:.3g}, bound {bound:.3g}"


def check_attention(
    layout: TreeLayout,
    dtype: torch.dtype,
    impl: str | None,
    heads: tuple[int, int] = (6, 2),
    dim: int = 32,
    window: int | None = None,
    backward: bool = True,
) -> None:
    """Compare results and gradients of tree attention with the dense definition in float64.

    Args:
        layout: Layout. Its device is that of the tensors.
        dtype: Dtype of the tensors.
        impl: Implementation that is checked.
        heads: Number of query heads and of key heads.
        dim: Head dimension.
        window: Number of positions that a query sees. None for all.
        backward: Whether gradients are compared too.
    """
    draw = torch.Generator().manual_seed(layout.num_keys)
    shapes = [
        (heads[0], layout.num_queries, dim),
        (heads[1], layout.num_keys, dim),
        (heads[1], layout.num_keys, dim),
    ]
    inputs = [
        torch.randn(shape, generator=draw).to(layout.device, dtype).requires_grad_(backward)
        for shape in shapes
    ]
    grad = torch.randn(shapes[0], generator=draw).to(layout.device, dtype)
    exact = [tensor.detach().double().requires_grad_(backward) for tensor in inputs]
    expected = tree_attention(*exact, layout, window=window, impl="reference")
    found = tree_attention(*inputs, layout, window=window, impl=impl)
    assert found.dtype == dtype
    close(found, expected, dtype, "out")
    if backward:
        gradients = zip(
            ("query", "key", "value"),
            torch.autograd.grad(found, inputs, grad),
            torch.autograd.grad(expected, exact, grad.double()),
            strict=True,
        )
        for name, mine, theirs in gradients:
            assert mine.dtype == dtype
            close(mine, theirs, dtype, f"gradient of {name}")


ATTENTION: dict[str, tuple[Callable[[str], TreeLayout], dict[str, object]]] = {
    **{
        name: ((lambda device, tree=tree: layout_of(tree, device)), {})
        for name, tree in SHAPES.items()
    },
    "window": (lambda device: layout_of(SHAPES["random"], device), {"window": 7}),
    "window in a chain": (lambda device: layout_of(SHAPES["chain"], device), {"window": 1}),
    "cached prefix": (
        lambda device: layout_of(random_tree(3, 50, num_roots=3), device, asking=0.4),
        {},
    ),
    "cached prefix and window": (
        lambda device: layout_of(random_tree(4, 50), device, asking=0.4),
        {"window": 9},
    ),
    "one head": (lambda device: layout_of(SHAPES["chain"], device), {"heads": (1, 1)}),
    "seven to a group": (lambda device: layout_of(SHAPES["random"], device), {"heads": (7, 1)}),
    "odd dimension": (lambda device: layout_of(SHAPES["random"], device), {"dim": 24}),
    "dimension 96": (
        lambda device: layout_of(SHAPES["chain"], device),
        {"dim": 96, "heads": (2, 2)},
    ),
}
"""Layouts and options for `check_attention`, by name."""


@dataclass(frozen=True)
class Kept:
    """Buffers of keys and values, and the new tokens behind them.

    Attributes:
        prefixes: Places and capacity of each buffer of prefixes.
        own: Places and capacity of the buffer of rows.
        entries: Entries of `KeptTable` without the packed positions, which are shuffled.
        heads: Number of query heads and of key heads.
        dim: Head dimension.
    """

    prefixes: tuple[tuple[int, int], ...]
    own: tuple[int, int]
    entries: tuple[tuple[int, int, int, int, int], ...]
    heads: tuple[int, int] = (6, 2)
    dim: int = 32


_ROWS = ((0, 1, 5, 0, 1), (0, 1, 5, 3, 9), (0, 0, 64, 1, 64), (1, 2, 100, 2, 33))
_ENCODING = tuple((1, 0, tokens, -1, 0) for tokens in range(60, 70))
KEPT = {
    "rows": Kept(((3, 64), (3, 128)), (4, 64), _ROWS),
    "prefixes only": Kept(((3, 64), (3, 128)), (4, 0), _ENCODING),
    "rows and prefixes": Kept(((3, 64), (3, 128)), (4, 64), _ROWS + _ENCODING),
    "one head": Kept(((2, 64),), (1, 64), ((0, 1, 1, 0, 1), (0, 0, 1, -1, 0)), heads=(1, 1)),
    "seven to a group": Kept(((3, 64), (3, 128)), (4, 64), _ROWS, heads=(14, 2), dim=64),
    "more to a group than a tile": Kept(((3, 64), (3, 128)), (4, 64), _ROWS, heads=(20, 1)),
    "odd dimension": Kept(((3, 64), (3, 128)), (4, 64), _ROWS, dim=24),
    "dimension 128": Kept(((3, 64), (3, 128)), (4, 64), _ROWS + _ENCODING, dim=128),
    "nothing": Kept(((1, 64),), (1, 64), ()),
}
"""Buffers and entries for `check_kept_attention`, by name."""


def check_kept_attention(
    kept: Kept, dtype: torch.dtype, impl: str | None, device: str = "cpu"
) -> None:
    """Compare kept attention with its reference in float64: the results, and what is written."""
    draw = torch.Generator().manual_seed(len(kept.entries))
    tokens, (num_heads, num_groups) = len(kept.entries) + 2, kept.heads
    numbers = torch.randperm(tokens, generator=draw)[: len(kept.entries)].tolist()
    entries = np.array(
        [[number, *entry] for number, entry in zip(numbers, kept.entries, strict=True)], np.int32
    ).reshape(-1, 6)
    layers = 2

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw).to(device, dtype)

    buffers = [
        random(layers, 2, places, num_groups, capacity, kept.dim)
        for places, capacity in (*kept.prefixes, kept.own)
    ]
    # Models hand over heads and tokens in either order.
    query = random(tokens, num_heads, kept.dim).transpose(0, 1)
    key, value = random(num_groups, tokens, kept.dim), random(num_groups, tokens, kept.dim)
    exact = [buffer.double() for buffer in buffers]
    for layer in range(layers):
        expected = torch.zeros(query.shape, dtype=torch.float64, device=device)
        kept_attention(
            *(tensor.double() for tensor in (query, key, value)),
            KeptTable.of(exact[:-1], exact[-1], entries),
            layer,
            expected,
            impl="reference",
        )
        table = KeptTable.of(buffers[:-1], buffers[-1], entries)
        # A graph has entries that stand for nothing, and buffers that are not there.
        table = replace(
            table, entries=pad(table.entries, (0, 3)), buffers=pad(table.buffers, (0, 2))
        )
        out = query.new_empty(query.shape).zero_()
        kept_attention(query, key, value, table, layer, out, impl=impl)
        close(out, expected, dtype, f"layer {layer}")
    for mine, theirs in zip(buffers, exact, strict=True):
        assert torch.equal(mine.double(), theirs)


def check_value_head(
    dtype: torch.dtype,
    impl: str,
    width: int,
    index: list[int],
    device: str = "cpu",
    gradients: bool = True,
) -> None:
    """Compare the value head and its gradients with torch's own norm in float64."""
    draw = torch.Generator().manual_seed(width)
    shapes = [(9, width), (width,), (width,)]
    inputs = [
        torch.randn(shape, generator=draw).to(device, dtype).requires_grad_(gradients)
        for shape in shapes
    ]
    exact = [tensor.detach().double().requires_grad_(gradients) for tensor in inputs]
    rows = torch.tensor(index, dtype=torch.int64, device=device)
    normed = torch.nn.functional.rms_norm(exact[0], (width,), exact[1], 1e-6)[rows]
    expected_value = normed @ exact[2]
    expected = (expected_value, torch.tanh((expected_value + 0.3) / 5.0))
    found = value_head(
        inputs[0], rows, inputs[1], inputs[2], eps=1e-6, bias=0.3, scale=5.0, impl=impl
    )
    full = torch.promote_types(dtype, torch.float32)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == full
        close(mine, theirs, full, "value head")
    weight = torch.randn(len(index), generator=draw).to(device)
    mine_total, total = (
        (found[1] * weight).sum() + found[0].sum(),
        (expected[1] * weight).sum() + expected[0].sum(),
    )
    if gradients:
        pairs = zip(
            torch.autograd.grad(mine_total, inputs), torch.autograd.grad(total, exact), strict=True
        )
        for name, (mine, theirs) in zip(("hidden", "norm", "head"), pairs, strict=True):
            close(mine, theirs, dtype, f"gradient of {name}")


# Groups of preferred and other scores, of several sizes and with common scores.
GROUPS = [([0, 1], [2, 3]), ([4], [0]), ([5, 6, 7, 8], [9]), ([1], [10, 11, 12, 13])]


def check_preference_loss(
    dtype: torch.dtype, impl: str, scores: list[float], device: str = "cpu"
) -> None:
    """Compare the loss and its gradient with the formula, pair by pair, in float64."""
    wide = (list(range(20)), list(range(20, 60)))
    groups = [*GROUPS, wide] if len(scores) >= 60 else GROUPS
    mine = torch.tensor(scores, dtype=dtype, device=device, requires_grad=True)
    exact = mine.detach().double().requires_grad_()
    losses = []
    for preferred, others in groups:
        pairs = [
            torch.nn.functional.logsigmoid(exact[i] - exact[j]) for i in preferred for j in others
        ]
        losses.append(-torch.stack(pairs).mean())
    expected = torch.stack(losses)
    found = preference_loss(mine, PairGroups.of(groups, device), impl=impl)
    full = torch.promote_types(dtype, torch.float32)
    assert found.dtype == full
    close(found, expected, full, "loss")
    weight = torch.arange(1.0, len(groups) + 1, device=device)
    (gradient,) = torch.autograd.grad((found * weight).sum(), mine)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), exact)
    close(gradient, expected_gradient, dtype, "gradient")


SCORES = {
    "plain": [((i * 37) % 19 - 9) / 5 for i in range(60)],
    "few": [((i * 37) % 19 - 9) / 5 for i in range(14)],
    "equal": [0.5] * 14,
    "far apart": [1e4 * (-1) ** i for i in range(14)],
}
"""Scores for `check_preference_loss`, by name. Sixty of them add a group of 20 against 40."""
