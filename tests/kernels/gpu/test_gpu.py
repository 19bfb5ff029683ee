"""The Triton kernels on a GPU in all dtypes and large shapes, and FlexAttention beside them."""

import pytest
import torch
from kernel_cases import (
    ATTENTION,
    KEPT,
    SCORES,
    check_attention,
    check_kept_attention,
    check_preference_loss,
    check_value_head,
    layout_of,
)
from random_trees import random_tree

from rstar_fast.kernels.tree_attention import tree_attention

pytest.importorskip("triton", reason="the package triton is not installed")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ATTENTION)
def test_tree_attention(case: str, dtype: torch.dtype) -> None:
    layout, options = ATTENTION[case]
    check_attention(layout("cuda"), dtype, None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("impl", ["triton", "flex"])
@pytest.mark.parametrize("window", [None, 700])
@pytest.mark.parametrize("dim", [64, 128, 256])
def test_large_trees(dim: int, window: int | None, impl: str) -> None:
    layout = layout_of(random_tree(7, 300, longest=40), "cuda")
    check_attention(layout, torch.bfloat16, impl, heads=(14, 2), dim=dim, window=window)


def test_every_run_gives_the_same_bits() -> None:
    layout = layout_of(random_tree(8, 600, longest=60), "cuda")
    inputs = [
        torch.randn(
            heads, layout.num_keys, 128, device="cuda", dtype=torch.bfloat16, requires_grad=True
        )
        for heads in (8, 2, 2)
    ]

    def run() -> list[torch.Tensor]:
        out = tree_attention(*inputs, layout, impl="triton")
        return [out, *torch.autograd.grad(out.float().square().sum(), inputs)]

    for first, second in zip(run(), run(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KEPT)
def test_kept_attention(case: str, dtype: torch.dtype) -> None:
    check_kept_attention(KEPT[case], dtype, None, "cuda")


@pytest.mark.parametrize("dtype", DTYPES)
def test_value_head(dtype: torch.dtype) -> None:
    check_value_head(dtype, "triton", 3584, [8, 3, 3, 0], "cuda")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scores", SCORES)
def test_preference_loss(dtype: torch.dtype, scores: str) -> None:
    check_preference_loss(dtype, "triton", SCORES[scores], "cuda")
