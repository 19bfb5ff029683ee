"""Every committed configuration, compiled for its target without a GPU: it fits, and spills nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from kernel_cases import layout_of
from random_trees import SHAPES

triton = pytest.importorskip("triton", reason="the package triton is not installed")

from targets import TARGETS, StubDriver, usage  # noqa: E402

from rstar_fast.kernels.launch import interpreting, target  # noqa: E402
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss  # noqa: E402
from rstar_fast.kernels.preference_loss import triton as preference_loss_triton  # noqa: E402
from rstar_fast.kernels.tree_attention import tree_attention  # noqa: E402
from rstar_fast.kernels.tree_attention import triton as tree_attention_triton  # noqa: E402
from rstar_fast.kernels.tree_attention.configs import KERNELS, table  # noqa: E402
from rstar_fast.kernels.value_head import triton as value_head_triton  # noqa: E402
from rstar_fast.kernels.value_head import value_head  # noqa: E402

if interpreting():
    pytest.skip("the interpreter is on: nothing is compiled", allow_module_level=True)

DTYPES = {2: torch.bfloat16, 4: torch.float32}
FORMS = sorted({(dim, size) for _, _, dim, size in table()})


@pytest.fixture(params=TARGETS)
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What the real launchers compile, by kernel, when they believe to be on a target."""
    found: list[tuple[str, Any]] = []

    def compile_only(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        assert all(grid)
        found.append((kernel.fn.__name__, kernel.warmup(*arguments, grid=grid, **options)))

    for module in (tree_attention_triton, value_head_triton, preference_loss_triton):
        monkeypatch.setattr(module, "launch", compile_only)
    triton.runtime.driver.set_active(StubDriver(request.param))
    assert target() == request.param
    yield found
    triton.runtime.driver.set_active(None)


def hold_to_limits(compiled: list[tuple[str, Any]], record: Any) -> None:
    for name, kernel in compiled:
        where = kernel.metadata.target
        (limits,) = (limits for target, limits in TARGETS.values() if target == where)
        used = usage(kernel)
        record(name, str(used))
        assert used.spilled_bytes == 0, f"{name} for {where}: {used}"
        assert used.registers <= limits.registers, f"{name} for {where}: {used}"
        assert used.shared_bytes <= limits.shared_bytes, f"{name} for {where}: {used}"


@pytest.mark.parametrize(("dim", "size"), FORMS)
def test_tree_attention(compiled: list[tuple[str, Any]], dim: int, size: int, record_property: Any) -> None:
    layout = layout_of(SHAPES["chain"], "meta")
    shapes = [(8, layout.num_keys, dim), (2, layout.num_keys, dim), (2, layout.num_keys, dim)]
    inputs = [torch.empty(shape, dtype=DTYPES[size], device="meta", requires_grad=True) for shape in shapes]
    out = tree_attention(*inputs, layout, impl="triton")
    out.backward(torch.empty_like(out))
    assert tuple(name for name, _ in compiled) == KERNELS
    hold_to_limits(compiled, record_property)


def test_tree_attention_with_a_window(compiled: list[tuple[str, Any]], record_property: Any) -> None:
    layout = layout_of(SHAPES["chain"], "meta")
    inputs = [torch.empty(2, layout.num_keys, 96, dtype=torch.float16, device="meta", requires_grad=True) for _ in range(3)]
    out = tree_attention(*inputs, layout, window=7, impl="triton")
    out.backward(torch.empty_like(out))
    assert len(compiled) == len(KERNELS)
    hold_to_limits(compiled, record_property)


def test_the_small_kernels(compiled: list[tuple[str, Any]], record_property: Any) -> None:
    hidden = torch.empty(9, 3584, dtype=torch.bfloat16, device="meta", requires_grad=True)
    weights = [torch.empty(3584, dtype=torch.bfloat16, device="meta", requires_grad=True) for _ in range(2)]
    values, scores = value_head(hidden, torch.empty(4, dtype=torch.int64, device="meta"), *weights, eps=1e-6, impl="triton")
    (values + scores).backward(torch.empty_like(values))
    groups = PairGroups.of([([0], [1])], "meta")
    preference_loss(torch.empty(4, device="meta", requires_grad=True), groups, impl="triton")
    names = [name for name, _ in compiled]
    assert names == ["forward", "backward_rows", "backward_weights", "loss_and_gradient"]
    hold_to_limits(compiled, record_property)


def test_the_table_covers_every_target_alike() -> None:
    assert {(kernel, target, *form) for kernel in KERNELS for target in TARGETS for form in FORMS} == set(table())
