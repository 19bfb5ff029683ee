"""The Triton kernels in Triton's interpreter, on a CPU.

The tests need a process of their own, started with TRITON_INTERPRET=1.
"""

import os
from collections.abc import Iterator

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
from random_trees import SHAPES, random_tree
from torch import Tensor

from rstar_fast.errors import KernelError
from rstar_fast.kernels.tree_attention import layout as tree_layout
from rstar_fast.kernels.tree_attention import tree_attention

pytest.importorskip("triton", reason="the package triton is not installed")
pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="the interpreter is off: it needs TRITON_INTERPRET=1 and a process of its own",
)

DTYPES = [torch.float32, torch.float16]
_GUARD = 64


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fill every result and a guard on either side of it with NaN, and check both afterwards.

    A result that is left unwritten shows, and so does a store out of bounds, which the interpreter
    does not catch.
    """
    torch.set_num_threads(1)
    made: list[tuple[Tensor, int]] = []
    new_empty = Tensor.new_empty

    def poisoned(
        self: Tensor, *shape: int, dtype: torch.dtype | None = None, device: str | None = None
    ) -> Tensor:
        if device is not None:
            # The interpreter itself allocates this tensor.
            return new_empty(self, *shape, dtype=dtype, device=device)
        size = torch.Size(shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)
        storage = new_empty(self, size.numel() + 2 * _GUARD, dtype=dtype).fill_(float("nan"))
        made.append((storage, size.numel()))
        return storage[_GUARD : _GUARD + size.numel()].view(size)

    monkeypatch.setattr(Tensor, "new_empty", poisoned)
    yield
    assert made, "the kernels' results are not allocated by new_empty: nothing was guarded"
    for storage, size in made:
        assert storage[:_GUARD].isnan().all() and storage[_GUARD + size :].isnan().all(), (
            "a store out of bounds"
        )
        assert not storage[_GUARD : _GUARD + size].isnan().any(), "a result was left unwritten"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ATTENTION)
def test_tree_attention(case: str, dtype: torch.dtype) -> None:
    layout, options = ATTENTION[case]
    check_attention(layout("cpu"), dtype, "triton", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [None, 40])
def test_full_blocks(window: int | None) -> None:
    """All tokens below a long trunk see it in full."""
    layout = layout_of(random_tree(6, 30, longest=30))
    begin, split = layout.device_blocks(32, 32, window).parts[:, 1:3].T
    assert window or (begin < split).any()
    check_attention(layout, torch.float32, "triton", window=window, heads=(2, 2))


def test_long_lists_are_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_layout, "_PARTS", 1 << 20)
    monkeypatch.setattr(tree_layout, "_MAX_UNCUT_TILES", 2)
    layout = layout_of(random_tree(7, 60, longest=20))
    check_attention(layout, torch.float32, "triton", dim=24)
    parts = [blocks for (*_, by_key), blocks in layout._device_lists.items() if by_key]
    assert parts[0].num_slots > len(parts[0].joins) > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("width", "index"), [(40, [8, 3, 3, 0]), (1500, [2])])
def test_value_head(dtype: torch.dtype, width: int, index: list[int]) -> None:
    check_value_head(dtype, "triton", width, index)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scores", SCORES)
def test_preference_loss(dtype: torch.dtype, scores: str) -> None:
    check_preference_loss(dtype, "triton", SCORES[scores])


class TestRefusals:
    @pytest.fixture(autouse=True)
    def guarded(self) -> None:
        """Nothing is allocated here."""

    def test_bfloat16(self) -> None:
        layout = layout_of(SHAPES["chain"])
        rows = torch.zeros(2, layout.num_keys, 8, dtype=torch.bfloat16)
        with pytest.raises(KernelError, match="interpreter computes bfloat16 wrongly"):
            tree_attention(rows, rows, rows, layout, impl="triton")

    def test_float64(self) -> None:
        layout = layout_of(SHAPES["chain"])
        rows = torch.zeros(2, layout.num_keys, 8, dtype=torch.float64)
        with pytest.raises(
            KernelError, match=r"takes float16, bfloat16 and float32, got torch.float64"
        ):
            tree_attention(rows, rows, rows, layout, impl="triton")

    @pytest.mark.parametrize(
        ("heads", "dim", "says"),
        [(1, 300, "head dimensions up to 128"), (64, 8, "up to 32 query heads")],
    )
    def test_heads(self, heads: int, dim: int, says: str) -> None:
        layout = layout_of(SHAPES["single token"])
        with pytest.raises(KernelError, match=says):
            tree_attention(
                torch.zeros(heads, 1, dim),
                torch.zeros(1, 1, dim),
                torch.zeros(1, 1, dim),
                layout,
                impl="triton",
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KEPT)
def test_kept_attention(case: str, dtype: torch.dtype) -> None:
    check_kept_attention(KEPT[case], dtype, "triton")
