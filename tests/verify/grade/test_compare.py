"""Layer 2: comparing values by their types."""

import pytest

from rstar_fast.verify.grade.compare.numbers import equal_expressions, proportional
from rstar_fast.verify.grade.compare.regions import intervals_of, same_intervals
from rstar_fast.verify.grade.compare.values import compare
from rstar_fast.verify.grade.library import equal_by_library
from rstar_fast.verify.grade.read.reader import read
from rstar_fast.verify.grade.read.values import Scalar


def expression(text: str) -> object:
    value = read(text)
    assert isinstance(value, Scalar)
    return value.expression


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        # Exact values.
        ("1/2", "0.5", True),
        (r"\frac{2^{2005}+1}{3\cdot 2^{2006}}", r"\frac{1}{3\cdot 2^{2006}}", False),
        (r"\sqrt{5+2\sqrt6}", r"\sqrt2+\sqrt3", True),
        ("2^{64}", "2^{64}-1", False),
        ("10^{400}", "10^{400}+1", False),
        # A decimal stands for what it is rounded from, if it states four digits of it.
        ("1/3", "0.3333", True),
        ("1/3", "0.333", None),
        ("1/3", "0.3334", False),
        ("100/3", "33.33", None),
        (r"\pi", "3.1416", True),
        (r"\pi", "3.14", None),
        ("3.14159", r"\pi", True),
        # The error of floating point is forgiven in long decimals alone.
        ("3", "2.9999999999999996", True),
        ("3", "2.9999", False),
        ("1", "1.0000001", False),
        ("123456789.123", "123456789.124", False),
        ("0", "1.2246467991473532e-16", True),
        ("0", "1e-9", False),
        # Variables.
        ("(x+1)^2", "x^2+2x+1", True),
        ("x", "X", False),
        (r"\sqrt{x^2}", "x", None),
        ("3k", "3", False),
        ("3+4i", "3+4*I", True),
        # Too large to compute, and so not decided unless spelled alike.
        ("7^{7^{7^7}}", "7^{7^{7^7}}", True),
        ("7^{7^{7^7}}", "5", None),
        ("1/0", "5", False),
        # A root of a negative number, of an odd degree of many digits.
        (r"(-2)^{1/10000019}", "5", False),
        ("(-x)^{y}", "5", False),
        (r"\sqrt[1/3]{-8}", "-512", True),
    ],
)
def test_expressions(gold: str, answer: str, equal: bool | None) -> None:
    assert equal_expressions(expression(gold), expression(answer)) is equal


def test_equations_are_equal_up_to_a_factor() -> None:
    assert proportional(expression("2x+4y-3"), expression("-x-2y+3/2"))
    assert not proportional(expression("2x+4y-3"), expression("2x+4y-4"))
    assert proportional(expression(r"\sqrt2 x+y-1"), expression(r"2x+\sqrt2 y-\sqrt2"))
    assert not proportional(expression(r"\sqrt2 x+y-1"), expression("1.41421356237309x+y-1"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("(1,2)", "1<x<2", True),
        ("[1,2]", "1<x<2", False),
        (r"(-\infty,3)\cup(3,\infty)", r"x \ne 3", True),
        (r"(1,2)\cup(2,3)", r"(1,3)\setminus\{2\}", True),
        (r"[1,2]\cap[2,3]", r"\{2\}", True),
        ("(0,2]", "x > 0 and x <= 2", True),
        (r"(0,1)\cup(1,2)", "(0,2)", False),
        (r"\mathbb{R}", r"(-\infty,\infty)", True),
        (r"[\sqrt2, 2]", r"\sqrt{2} \le x \le 2", True),
    ],
)
def test_sets_of_real_numbers(one: str, other: str, same: bool) -> None:
    assert same_intervals(intervals_of(read(one)), intervals_of(read(other))) is same


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("1,2", "2,1", True),
        ("(1,2)", "2,1", False),
        ("1,2,2", "1,2", False),
        (r"\{1,2,2\}", r"\{1,2\}", True),
        ("[1,2]", "(1,2)", False),
        ("5", "5, 6", None),
        ("5", "6, 7", False),
        ("5", "[5]", True),
        ("x=2", "y=2", None),
        ("10 cm", "0.1 m", True),
        ("10 cm", "10 m", False),
        ("0.28", r"28\%", True),
        (r"28\%", "28", True),
        ("28", r"28\%", None),
        ("9", "9 a.m.", True),
        ("9 a.m.", "9:00", None),
        ("2:3", "4:6", True),
        ("4210_5", "4210", True),
        ("4210_5", "555", False),
        ("E", "(E) none", True),
        ("n", "n for n > 2", True),
        ("5", "5 for n > 2", None),
    ],
)
def test_values(gold: str, answer: str, equal: bool | None) -> None:
    assert compare(read(gold), read(answer)) is equal


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        (r"\sum_{k=1}^{4} k", "10", True),
        (r"\sum_{k=1}^{4} k", "11", False),
        (r"\int_0^1 x^2 dx", r"\frac{1}{3}", True),
        (r"\sum_{k=1}^{4}", "10", None),
        (r"\sum_{x=1}^{4} X", "10", None),
    ],
)
def test_sums_and_integrals(gold: str, answer: str, equal: bool | None) -> None:
    assert equal_by_library(gold, answer) is equal
