"""Attention over kept keys and values equals a softmax in float64, and touches nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from rstar_fast._core import (
    attend,
    gather_kv,
    scatter_kv,
    simd_level,
    simd_levels,
    use_simd_level,
)

Floats = NDArray[np.float32]
Buffer = tuple[Floats, Floats]
CAPACITY = 40


@pytest.fixture(params=simd_levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = simd_level()
    use_simd_level(request.param)
    yield request.param
    use_simd_level(before)


@dataclass
class Case:
    """The arguments of a call."""

    query: Floats
    key: Floats
    value: Floats
    prefixes: list[Buffer]
    rows: Buffer
    table: NDArray[np.int32]

    def run(self, threads: int = 1, entries: slice = slice(None)) -> Floats:
        out = np.full_like(self.query, -7.0)
        attend(
            self.query,
            self.key,
            self.value,
            out,
            self.prefixes,
            self.rows,
            np.ascontiguousarray(self.table[entries]),
            0.3,
            threads,
        )
        return out

    def expected(self) -> Floats:
        """Return the results by their definition, after a call has written its keys."""
        heads, tokens, dim = self.query.shape
        group = heads // len(self.key)
        out = np.full((heads, tokens, dim), -7.0)
        for token, number, place, prefix_tokens, row, row_tokens in self.table:
            for head in range(heads):
                parts = [(self.prefixes[number], place, prefix_tokens)]
                parts += [(self.rows, row, row_tokens)] if row >= 0 else []
                keys, values = (
                    np.concatenate([one[i][at, head // group, :count] for one, at, count in parts])
                    for i in range(2)
                )
                scores = keys.astype(np.float64) @ self.query[head, token] * 0.3
                weights = np.exp(scores - scores.max())
                out[head, token] = weights @ values / weights.sum()
        return out.astype(np.float32)


def case(dim: int, kv_heads: int, group: int, seed: int = 0, spread: float = 1.0) -> Case:
    """Return a call with rows of two prefix buffers, and a prefix of which four tokens are new."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return (draw.standard_normal(shape) * spread).astype(np.float32)

    def buffer(places: int) -> Buffer:
        return normal(places, kv_heads, CAPACITY, dim), normal(places, kv_heads, CAPACITY, dim)

    rows = [
        (token, token % 2, draw.integers(4), draw.integers(1, CAPACITY + 1), token, 1 + token * 3)
        for token in range(9)
    ]
    new = [(9 + i, 1, 5, 17 + i, -1, 0) for i in range(4)]
    return Case(
        # As a model has them: the heads of a token side by side.
        normal(14, kv_heads * group, dim).swapaxes(0, 1),
        normal(14, kv_heads, dim).swapaxes(0, 1),
        normal(kv_heads, 14, dim),
        [buffer(4), buffer(6)],
        buffer(9),
        np.array(rows + new, np.int32),
    )


@pytest.mark.parametrize("dim", [16, 32, 48, 64, 128])
@pytest.mark.parametrize("group", [1, 3, 7])
@pytest.mark.parametrize("spread", [1.0, 4.0], ids=["flat", "sharp"])
def test_it_is_a_softmax(level: str, dim: int, group: int, spread: float) -> None:
    one = case(dim, 2, group, spread=spread)
    out = one.run()
    np.testing.assert_allclose(out, one.expected(), rtol=2e-5, atol=6e-6 * spread**2)
    assert (out[:, 13] == -7.0).all(), "a token that is not in the table"
    for token, number, place, prefix_tokens, row, row_tokens in one.table:
        (keys, values), at, last = (
            (one.rows, row, row_tokens - 1)
            if row >= 0
            else (one.prefixes[number], place, prefix_tokens - 1)
        )
        np.testing.assert_array_equal(keys[at, :, last], one.key[:, token])
        np.testing.assert_array_equal(values[at, :, last], one.value[:, token])


def test_a_result_does_not_depend_on_the_others_or_on_threads(level: str) -> None:
    one = case(32, 2, 3)
    whole = one.run()
    np.testing.assert_array_equal(whole, case(32, 2, 3).run(threads=5))
    for i in range(9):
        np.testing.assert_array_equal(
            case(32, 2, 3).run(entries=slice(i, i + 1))[:, i], whole[:, i]
        )


def test_what_is_not_finite_spoils_only_what_sees_it(level: str) -> None:
    one = case(32, 1, 2)
    number, place = one.table[3][1:3]
    one.prefixes[number][0][place, 0, 0, 5] = np.nan
    sees = (one.table[:, 1] == number) & (one.table[:, 2] == place)
    out = one.run()
    for entry, spoilt in zip(one.table, sees, strict=True):
        assert np.isnan(out[:, entry[0]]).all() == spoilt


def test_a_score_that_is_infinite_is_not_hidden(level: str) -> None:
    one = case(32, 1, 1)
    one.query[0, 0] = one.key[0, 0] = 1e30
    assert np.isnan(one.run()[0, 0]).all()


@pytest.mark.parametrize(
    ("column", "value"), [(0, -1), (0, 14), (1, 2), (2, 6), (3, 0), (3, 41), (4, 9), (5, 41)]
)
def test_entries_out_of_range_are_refused(column: int, value: int) -> None:
    one = case(32, 2, 2)
    one.table[4, column] = value
    with pytest.raises(ValueError, match=r"entry for token -?[0-9]+ is out of range"):
        one.run()


def test_arrays_that_do_not_fit_are_refused() -> None:
    good = case(32, 2, 2)
    wrong = [
        Case(good.query[:, :, ::2], good.key, good.value, good.prefixes, good.rows, good.table),
        Case(good.query[:, :13], good.key, good.value, good.prefixes, good.rows, good.table),
        Case(good.query[:3], good.key, good.value, good.prefixes, good.rows, good.table),
        Case(good.query, good.key, good.value[:, :9], good.prefixes, good.rows, good.table),
        Case(
            good.query,
            good.key,
            good.value,
            [good.rows, case(16, 2, 1).rows],
            good.rows,
            good.table,
        ),
        Case(good.query, good.key, good.value, good.prefixes, case(32, 1, 1).rows, good.table),
        Case(good.query, good.key, good.value, good.prefixes, good.rows, good.table[:, :5]),
    ]
    for one in wrong:
        with pytest.raises(ValueError, match="attend: "):
            one.run()
    read_only = case(32, 2, 2)
    read_only.rows[0].flags.writeable = False
    with pytest.raises(ValueError, match="dense and writable"):
        read_only.run()
    with pytest.raises(ValueError, match="threads must be at least 1"):
        good.run(threads=0)


def test_buffers_are_never_copied_first() -> None:
    """What was written would be lost with the copy."""
    wide = case(32, 2, 2)
    wide.rows = tuple(array.astype(np.float64) for array in wide.rows)  # type: ignore[assignment]
    with pytest.raises(TypeError, match="incompatible function arguments"):
        wide.run()
    strided = [tuple(array[:, :, ::2] for array in case(16, 2, 1).rows)]
    with pytest.raises(TypeError, match="incompatible function arguments"):
        scatter_kv(strided, 0, 0, np.zeros((2, 64), np.float32))  # type: ignore[arg-type]


def test_tokens_are_copied_out_and_in() -> None:
    layers = [case(16, 2, 1, seed=0).rows, case(32, 1, 1, seed=1).rows]
    flat = gather_kv(layers, 3, 5, 12)
    pieces = [array[3, :, 5:12].swapaxes(0, 1).reshape(7, -1) for pair in layers for array in pair]
    np.testing.assert_array_equal(flat, np.concatenate(pieces, 1))
    others = [case(16, 2, 1, seed=2).rows, case(32, 1, 1, seed=3).rows]
    before = [array.copy() for pair in others for array in pair]
    scatter_kv(others, 8, 1, flat)
    np.testing.assert_array_equal(gather_kv(others, 8, 1, 8), flat)
    for old, array in zip(before, (array for pair in others for array in pair), strict=True):
        old[8, :, 1:8] = array[8, :, 1:8]
        np.testing.assert_array_equal(old, array)
    assert gather_kv(layers, 0, 4, 4).shape == (0, 128)


@pytest.mark.parametrize(
    ("place", "begin", "end"), [(-1, 0, 1), (9, 0, 1), (0, -1, 1), (0, 39, 41)]
)
def test_places_that_are_not_there_are_refused(place: int, begin: int, end: int) -> None:
    layers = [case(16, 2, 1).rows]
    with pytest.raises(ValueError, match="gather_kv: no place"):
        gather_kv(layers, place, begin, end)
    with pytest.raises(ValueError, match="scatter_kv: no place"):
        scatter_kv(layers, place, begin, np.zeros((end - begin, 64), np.float32))


def test_a_flat_form_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a flat form of width 64, got 65"):
        scatter_kv([case(16, 2, 1).rows], 0, 0, np.zeros((2, 65), np.float32))
