"""Every committed configuration compiles for its target, fits it and spills no registers."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="the package triton is not installed")

from lib.ahead_of_time import (
    FORMS,
    TARGETS,
    TOKENS,
    compiling_for,
    start_kept_attention,
    start_small_kernels,
    start_tree_attention,
    usage,
)

from rstar_fast.kernels.launch import TARGETS as COMMITTED_TARGETS
from rstar_fast.kernels.launch import interpreting, target
from rstar_fast.kernels.tree_attention import layout
from rstar_fast.kernels.tree_attention.configs import KERNELS, table

if interpreting():
    pytest.skip("the interpreter is on: nothing is compiled", allow_module_level=True)


@pytest.fixture(params=TARGETS)
def compiled(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, Any]]]:
    """Pairs (name, compiled kernel) of what the launchers start while they believe in a target."""
    with compiling_for(request.param) as found:
        assert target() == request.param
        yield found


def hold_to_limits(compiled: list[tuple[str, Any]], record: Any) -> None:
    for name, kernel in compiled:
        where = kernel.metadata.target
        (limits,) = (limits for target, limits in TARGETS.values() if target == where)
        used = usage(kernel)
        record(name, str(used))
        assert used.spilled_bytes == 0, f"{name} for {where}: {used}"
        assert used.registers <= limits.registers, f"{name} for {where}: {used}"
        assert used.shared_bytes <= limits.shared_bytes, f"{name} for {where}: {used}"


@pytest.mark.parametrize("num_tokens", TOKENS)
@pytest.mark.parametrize(("dim", "size"), FORMS)
def test_tree_attention(
    compiled: list[tuple[str, Any]], dim: int, size: int, num_tokens: int, record_property: Any
) -> None:
    start_tree_attention(dim, size, num_tokens)
    assert tuple(name for name, _ in compiled) == KERNELS
    hold_to_limits(compiled, record_property)


def test_tree_attention_with_a_window(
    compiled: list[tuple[str, Any]], record_property: Any
) -> None:
    start_tree_attention(96, 2, 49, window=7, dtype=torch.float16)
    assert len(compiled) == len(KERNELS)
    hold_to_limits(compiled, record_property)


def test_long_lists_are_cut_into_parts(
    compiled: list[tuple[str, Any]], record_property: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "_PARTS", 1 << 20)
    monkeypatch.setattr(layout, "_MAX_UNCUT_TILES", 1)
    start_tree_attention(128, 2, 64)
    assert tuple(name for name, _ in compiled) == (*KERNELS, "add_parts")
    hold_to_limits(compiled, record_property)


@pytest.mark.parametrize(("dim", "size"), FORMS)
def test_kept_attention(
    compiled: list[tuple[str, Any]], dim: int, size: int, record_property: Any
) -> None:
    start_kept_attention(dim, size)
    assert [name for name, _ in compiled] == ["write_kept", "attend_kept"]
    hold_to_limits(compiled, record_property)


def test_the_small_kernels(compiled: list[tuple[str, Any]], record_property: Any) -> None:
    start_small_kernels()
    names = [name for name, _ in compiled]
    assert names == ["forward", "backward_rows", "backward_weights", "loss_and_gradient"]
    hold_to_limits(compiled, record_property)


def test_the_table_covers_every_target_alike() -> None:
    assert tuple(TARGETS) == COMMITTED_TARGETS
    assert {
        (kernel, target, *form) for kernel in KERNELS for target in TARGETS for form in FORMS
    } == set(table())
