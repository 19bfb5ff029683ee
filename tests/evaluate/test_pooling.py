"""Comparisons over several runs."""

import numpy as np
import pytest

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import paired, pooled


def test_one_run_is_a_paired_comparison() -> None:
    first = [True] * 30 + [False] * 70
    second = [True] * 10 + [False] * 90
    one, many = paired(first, second), pooled([first], [second])
    assert (many.difference, many.p_value) == (one.difference, one.p_value)
    assert many.interval == pytest.approx(one.interval, abs=0.011)
    assert pooled([first], [second]) == many


def test_runs_that_differ_widen_the_interval() -> None:
    none, some = [False] * 100, [True] * 20 + [False] * 80
    alike = pooled([some] * 3, [none] * 3)
    unlike = pooled([some, some[::-1], none], [none, none, none])
    assert alike.by_run == (0.2, 0.2, 0.2)
    assert unlike.difference == pytest.approx(0.4 / 3)
    assert np.diff(unlike.interval) > np.diff(alike.interval)
    assert unlike.interval[0] <= 0.0 < alike.interval[0]


def test_problems_count_once_however_many_runs_there_are() -> None:
    first, second = [True] * 4 + [False] * 6, [False] * 10
    assert pooled([first] * 5, [second] * 5).p_value == paired(first, second).p_value


def test_runs_have_the_same_problems() -> None:
    for first, second in (([], []), ([[True]], []), ([[True]], [[True, False]]), ([[]], [[]])):
        with pytest.raises(ConfigError, match="expected the same problems in every run"):
            pooled(first, second)
