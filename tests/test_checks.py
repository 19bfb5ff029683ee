"""Checks of option values."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from rstar_fast.checks import check_boolean, check_choice, check_integer, check_known, check_number
from rstar_fast.errors import ConfigError

HUGE = 10**400


def said(check: Callable[..., None], *arguments: Any, **limits: Any) -> str | None:
    """Return the message of the refused option `x`, or None if it is accepted."""
    try:
        check("x", *arguments, **limits)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", [1, 2, HUGE])
def test_integers_without_a_highest(value: int) -> None:
    assert said(check_integer, value, 1) is None


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, math.nan])
def test_what_is_no_such_integer(value: object) -> None:
    assert said(check_integer, value, 1) == f"x: expected an integer of at least 1, got {value!r}"


def test_integers_of_a_range() -> None:
    assert said(check_integer, 1, 1, 3) is said(check_integer, 3, 1, 3) is None
    assert said(check_integer, 4, 1, 3) == "x: expected an integer in 1..3, got 4"
    assert said(check_integer, False, 0, 3) == "x: expected an integer in 0..3, got False"


@pytest.mark.parametrize("value", [0, 0.0, 2.5, 1e300, 7])
def test_numbers_without_a_highest(value: float) -> None:
    assert said(check_number, value, 0) is None


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, HUGE, True, "1", None])
def test_what_is_no_such_number(value: object) -> None:
    assert said(check_number, value, 0) == f"x: expected a number of at least 0, got {value!r}"


def test_numbers_of_a_range_with_and_without_its_ends() -> None:
    assert said(check_number, 0, 0, 1) is said(check_number, 1, 0, 1) is None
    assert said(check_number, 1.5, 0, 1) == "x: expected a number in [0, 1], got 1.5"
    assert said(check_number, 0, 0, low_excluded=True) == "x: expected a number above 0, got 0"
    assert said(check_number, 1, 0, 1, low_excluded=True) is None
    message = "x: expected a number in (0, 1], got 0.0"
    assert said(check_number, 0.0, 0, 1, low_excluded=True) == message
    message = "x: expected a number in [0, 1), got 1"
    assert said(check_number, 1, 0, 1, high_excluded=True) == message
    both = {"low_excluded": True, "high_excluded": True}
    assert said(check_number, 0.5, 0, 1, **both) is None
    assert said(check_number, math.nan, 0, 1, **both) == "x: expected a number in (0, 1), got nan"
    assert said(check_number, 2e6, 0, 1e6) == "x: expected a number in [0, 1e+06], got 2000000.0"


def test_booleans() -> None:
    assert said(check_boolean, True) is said(check_boolean, False) is None
    assert said(check_boolean, 1) == "x: expected true or false, got 1"


def test_choices() -> None:
    assert said(check_choice, "a", ("a", "b")) is None
    assert said(check_choice, "c", ("a", "b")) == "x: expected one of a, b, got 'c'"
    assert said(check_choice, None, ("a", "b")) == "x: expected one of a, b, got None"
    assert said(check_choice, ["a"], ("a", "b")) == "x: expected one of a, b, got ['a']"


def test_an_unknown_name_is_told_its_likely_form() -> None:
    check_known(["seed"], ["epochs", "seed"])
    with pytest.raises(ConfigError) as refused:
        check_known({"sead": 1}, ["epochs", "seed"])
    expected = "unknown option 'sead' (did you mean 'seed'?); options: epochs, seed"
    assert str(refused.value) == expected
    with pytest.raises(ConfigError) as refused:
        check_known(["q"], [], kind="preset", where="f.toml: ")
    assert str(refused.value) == "f.toml: unknown preset 'q'; presets: none"
