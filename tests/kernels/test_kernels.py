"""The implementations that run on any device, and the arguments that the front doors refuse.

Triton's kernels are tested in the folders beside: by the interpreter, by compiling, and on a GPU.
"""

import numpy as np
import pytest
import torch
from kernel_cases import (
    ATTENTION,
    SCORES,
    check_attention,
    check_preference_loss,
    check_value_head,
    layout_of,
)
from random_trees import SHAPES, random_tree

from rstar_fast.errors import KernelError, PackError
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.kernels.tree_attention import TreeLayout, tree_attention
from rstar_fast.kernels.tree_attention.flex import _block_mask
from rstar_fast.kernels.value_head import value_head


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class TestTreeAttention:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("case", ATTENTION)
    def test_blockwise(self, case: str, dtype: torch.dtype) -> None:
        layout, options = ATTENTION[case]
        check_attention(layout("cpu"), dtype, "blockwise", **options)  # type: ignore[arg-type]

    @pytest.mark.parametrize("window", [None, 11])
    def test_blockwise_over_many_blocks(self, window: int | None) -> None:
        layout = layout_of(random_tree(5, 160, longest=12))
        assert layout.num_queries > 5 * 128
        check_attention(layout, torch.float64, "blockwise", window=window)

    @pytest.mark.parametrize("case", ATTENTION)
    def test_flex(self, case: str) -> None:
        layout, options = ATTENTION[case]
        check_attention(layout("cpu"), torch.float32, "flex", backward=False, **options)  # type: ignore[arg-type]

    def test_flex_takes_weights_where_gradients_are_turned_off(self) -> None:
        layout = layout_of(SHAPES["random"])
        query, key, value = (
            torch.randn(2, layout.num_keys, 8, requires_grad=True) for _ in range(3)
        )
        with torch.no_grad():
            found = tree_attention(query, key, value, layout, impl="flex")
            assert torch.allclose(found, tree_attention(query, key, value, layout), atol=1e-5)

    def test_flex_sees_every_block_of_our_lists(self) -> None:
        layout = layout_of(random_tree(5, 160, longest=12))
        lists = layout.blocks(128, 128)
        rows = [
            lists.blocks[a:b] for a, b in zip(lists.offsets[:-1], lists.offsets[1:], strict=True)
        ]
        dense = _block_mask(layout, None).to_dense()[0, 0]
        assert [np.flatnonzero(row).tolist() for row in dense.numpy()] == [
            sorted(row.tolist()) for row in rows
        ]

    def test_a_hidden_token_has_no_influence(self) -> None:
        layout = layout_of(SHAPES["random"])
        query, key, value = (torch.randn(2, layout.num_keys, 8) for _ in range(3))
        before = tree_attention(query, key, value, layout)
        last = layout.num_keys - 1
        key[:, last], value[:, last] = 1e4, -1e4
        after = tree_attention(query, key, value, layout)
        assert torch.equal(before[:, :last], after[:, :last]) and not torch.equal(before, after)

    def test_on_a_cpu_the_default_is_blockwise(self) -> None:
        layout = layout_of(SHAPES["random"])
        query, key, value = (torch.randn(2, layout.num_keys, 8) for _ in range(3))
        expected = tree_attention(query, key, value, layout, impl="blockwise")
        assert torch.equal(tree_attention(query, key, value, layout), expected)

    def test_refusals(self) -> None:
        layout = layout_of(SHAPES["chain"])
        rows = torch.zeros(2, layout.num_keys, 8)
        for arguments, says in [
            ((rows[0], rows, rows), r"expected query \[query_heads, queries, dim\]"),
            ((rows[..., :4], rows, rows), r"expected query \[query_heads, queries, dim\]"),
            (
                (rows.expand(2, -1, -1)[:1], rows, rows),
                "expected query heads in whole groups per kv head",
            ),
            (
                (rows[:, :3], rows, rows),
                r"the layout has 52 queries and 52 keys, got query \[2, 3, 8\]",
            ),
            ((rows.double(), rows, rows), "expected one dtype, got torch.float64, torch.float32"),
            ((rows.to("meta"), rows, rows), "expected one device, got meta, cpu"),
        ]:
            with pytest.raises(KernelError, match=says):
                tree_attention(*arguments, layout)
        with pytest.raises(
            KernelError, match=r"expected one of blockwise, flex, triton, reference, got 'cuda'"
        ):
            tree_attention(rows, rows, rows, layout, impl="cuda")
        with pytest.raises(KernelError, match="impl='flex' has no backward on a CPU"):
            tree_attention(rows.clone().requires_grad_(), rows, rows, layout, impl="flex")
        with pytest.raises(PackError, match="queries must ascend"):
            TreeLayout(layout.end, layout.position, np.array([1, 1], np.int32))

    def test_triton_is_never_replaced(self) -> None:
        layout = layout_of(SHAPES["chain"])
        rows = torch.zeros(2, layout.num_keys, 8)
        with pytest.raises(
            KernelError,
            match=r"impl='triton' (takes GPU tensors, got cpu|needs the package triton)",
        ):
            tree_attention(rows, rows, rows, layout, impl="triton")


class TestValueHead:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("index", [[0], [8, 3, 3, 0], []])
    def test_by_torch(self, dtype: torch.dtype, index: list[int]) -> None:
        check_value_head(dtype, "reference", 40, index)

    def test_refusals(self) -> None:
        rows, index, weight = torch.zeros(4, 8), torch.zeros(1, dtype=torch.int64), torch.zeros(8)
        with pytest.raises(
            KernelError,
            match=r"expected \[tokens, width\], \[scores\], \[width\] and \[width\], got \[4, 8\]",
        ):
            value_head(rows, index, weight[:3], weight, eps=1e-6)
        with pytest.raises(KernelError, match=r"scale: expected a number above 0, got 0.0"):
            value_head(rows, index, weight, weight, eps=1e-6, scale=0.0)
        with pytest.raises(KernelError, match="expected all tensors on one device"):
            value_head(rows, index.to("meta"), weight, weight, eps=1e-6)
        with pytest.raises(KernelError, match="expected one of reference, triton, got 'torch'"):
            value_head(rows, index, weight, weight, eps=1e-6, impl="torch")


class TestPreferenceLoss:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("scores", SCORES)
    def test_by_torch(self, dtype: torch.dtype, scores: str) -> None:
        check_preference_loss(dtype, "reference", SCORES[scores])

    def test_no_groups(self) -> None:
        assert preference_loss(torch.zeros(3), PairGroups.of([])).shape == (0,)

    def test_refusals(self) -> None:
        with pytest.raises(
            KernelError, match="group 1: expected scores on both sides, got 1 and 0"
        ):
            PairGroups.of([([0], [1]), ([2], [])])
        with pytest.raises(KernelError, match="must not be negative, got -1"):
            PairGroups.of([([0], [-1])])
        with pytest.raises(KernelError, match=r"expected scores \[6 or more\], got \[5\]"):
            preference_loss(torch.zeros(5), PairGroups.of([([0], [5])]))
