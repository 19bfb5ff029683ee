"""Problems: what is accepted as answers, and the name of a copy."""

from typing import Any

import pytest

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem


def test_a_single_string_is_one_answer() -> None:
    assert Problem("p", "?", "42").answers == ("42",)
    assert Problem("p", "?", "").answers == ("",)
    assert Problem("p", "?").answers == ()


@pytest.mark.parametrize("given", [["1", "2"], ("1", "2"), iter(["1", "2"]), {"1": 0, "2": 0}])
def test_any_iterable_of_strings_becomes_a_tuple(given: Any) -> None:
    problem = Problem("p", "?", given)
    assert problem.answers == ("1", "2")
    assert hash(problem) == hash(Problem("p", "?", ("1", "2")))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (42, "42"),
        (None, "None"),
        ([1], "1"),
        (("1", 2.5), "2.5"),
        (b"1", "49"),
        ([["1"]], r"\['1'"),
    ],
)
def test_answers_that_are_not_strings_are_refused(given: Any, shown: str) -> None:
    with pytest.raises(ProblemError, match=rf"problem 'p': answers: expected strings, got {shown}"):
        Problem("p", "?", given)


def test_the_key_names_the_copy() -> None:
    assert Problem("p", "?").key == "p"
    assert Problem("p", "?", copy=0).key == "p#0"
    assert Problem("p", "?", copy=12).key == "p#12"
    assert Problem("p", "?", copy=0) != Problem("p", "?")


@pytest.mark.parametrize("copy", [-1, 1.0, "1", True])
def test_a_copy_that_is_not_a_count_is_refused(copy: Any) -> None:
    with pytest.raises(
        ProblemError, match=f"copy: expected an integer of at least 0, got {copy!r}"
    ):
        Problem("p", "?", copy=copy)
