"""Tokens as bytes, and objects that are hidden from the garbage collector."""

import gc
import subprocess
import sys
import sysconfig
from array import array

import numpy as np
import pytest

from rstar_fast._core import ids_to_bytes, logprobs_to_bytes, untrack


def test_runs_become_arrays() -> None:
    runs = [(), (7,), (0, -1, 2**31 - 1, -(2**31)), tuple(range(1000))]
    assert ids_to_bytes(runs) == [array("i", run).tobytes() for run in runs]
    assert logprobs_to_bytes(runs) == [array("f", run).tobytes() for run in runs]
    assert logprobs_to_bytes([(-0.1, 1e-50)]) == [np.array([-0.1, 0.0], np.float32).tobytes()]
    assert ids_to_bytes([]) == [] == logprobs_to_bytes(())


def test_any_sequence_of_numbers_is_taken() -> None:
    assert (
        ids_to_bytes(([1, np.int64(2)], np.array([1, 2]), range(1, 3)))
        == [array("i", [1, 2]).tobytes()] * 3
    )
    assert (
        logprobs_to_bytes([[1, np.float32(2)], np.array([1.0, 2.0])])
        == [array("f", [1.0, 2.0]).tobytes()] * 2
    )


@pytest.mark.parametrize(
    ("run", "error"),
    [((2**31,), OverflowError), ((2**70,), OverflowError), ((1.5,), TypeError), (5, TypeError)],
)
def test_anything_but_an_id_is_refused(run: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        ids_to_bytes([(1, 2), run])  # type: ignore[list-item]


@pytest.mark.parametrize("run", [("a",), (None,), None])
def test_anything_but_a_number_is_refused(run: object) -> None:
    with pytest.raises(TypeError):
        logprobs_to_bytes([(1.0,), run])  # type: ignore[list-item]


@pytest.mark.parametrize("logprob", [float("-inf"), float("nan"), -1e300, 1e39])
def test_a_number_that_float32_cannot_hold_is_refused(logprob: float) -> None:
    with pytest.raises(ValueError, match="expected a log-probability that is a finite float32"):
        logprobs_to_bytes([(1.0, logprob)])


def test_errors_leak_nothing() -> None:
    run, bad = (10**6, 10**6 + 1), object()
    before = sys.getrefcount(run), sys.getrefcount(bad)
    for _ in range(100):
        with pytest.raises(TypeError):
            ids_to_bytes([run, (bad,)])  # type: ignore[list-item]
    assert (sys.getrefcount(run), sys.getrefcount(bad)) == before


def test_untracked_objects_live_and_die_like_any_others() -> None:
    class Thing:
        __slots__ = ("text",)

        def __init__(self, text: str) -> None:
            self.text = text

    things = [Thing(f"text {i}") for i in range(1000)]
    texts = [thing.text for thing in things]
    counts = [sys.getrefcount(text) for text in texts]
    assert all(map(gc.is_tracked, things))
    untrack([*things, 1, "a", None])
    untrack(things)
    assert not any(map(gc.is_tracked, things))
    gc.collect()
    assert [thing.text for thing in things] == texts
    things.clear()
    assert [sys.getrefcount(text) for text in texts] == [count - 1 for count in counts]


def test_the_core_needs_no_gil() -> None:
    """On a free-threaded Python, a module that needed the GIL would turn it on again."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has a GIL")
    program = "import sys, rstar_fast._core; sys.exit(sys._is_gil_enabled())"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
