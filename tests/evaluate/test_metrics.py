"""Numbers of solved problems, by hand and against what the formulas promise."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import (
    Paired,
    Sample,
    Share,
    at_equal_tokens,
    best,
    choose,
    likeliest,
    paired,
    pass_at_k,
    pass_share,
    selections,
    vote,
    within,
)


def sample(
    answer: str,
    correct: bool = False,
    score: float | None = None,
    tokens: int = 10,
    logprob: float | None = None,
) -> Sample:
    return Sample(answer, correct, tokens, score, logprob)


def answer(one: Sample | None) -> str | None:
    return None if one is None else one.answer


SCORED = [
    sample("1", score=0.1),
    sample("2", score=0.9),
    sample("1", score=0.3),
    sample("", score=None),
    sample("3", score=0.8),
]


def test_one_answer_of_many() -> None:
    assert answer(best(SCORED)) == "2"
    assert answer(vote(SCORED)) == "1"
    assert answer(vote(SCORED, top=2)) == "2", "a tie goes to the better score"
    assert answer(vote(SCORED, weighted=True)) == "1", "0.55 + 0.65 against 0.95 and 0.9"
    assert answer(vote(SCORED, top=3, weighted=True)) == "2"
    assert answer(vote([sample("x"), sample("y"), sample("y")])) == "y"
    assert answer(vote([sample("x"), sample("y")])) == "x", (
        "a tie without scores goes to the earlier"
    )
    assert answer(vote([sample(r"\frac12"), sample("7"), sample(r"\dfrac{1}{2}")])) == r"\frac12"
    assert [answer(way([sample("")])) for way in (best, vote, likeliest)] == [None, None, None]
    assert (
        answer(
            likeliest(
                [sample("a", logprob=-0.5), sample("b", logprob=-0.1), sample("", logprob=0.0)]
            )
        )
        == "b"
    )


def test_a_missing_score_is_an_error_where_scores_decide() -> None:
    mixed = [sample("1", score=0.5), sample("2")]
    for way in (best, vote, lambda ones: vote(ones, weighted=True)):
        with pytest.raises(ConfigError, match="got 1 among 2"):
            way(mixed)
    with pytest.raises(ConfigError, match="got 0 among 1"):
        vote([sample("1")], weighted=True)
    with pytest.raises(ConfigError, match="at least 1 voter"):
        vote(SCORED, top=0)


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(
    samples: int, data: st.DataObject
) -> None:
    right, k = data.draw(st.integers(0, samples)), data.draw(st.integers(1, samples))
    subsets = list(itertools.combinations([True] * right + [False] * (samples - right), k))
    assert pass_at_k(samples, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_refuses_more_than_there_are() -> None:
    with pytest.raises(ConfigError, match="k 5, 1 right of 4"):
        pass_at_k(4, 1, 5)


def test_wilson_intervals() -> None:
    # R: prop.test(x, n, correct = FALSE)
    for successes, trials, low, high in (
        (0, 10, 0.0, 0.2775),
        (8, 10, 0.4902, 0.9433),
        (300, 600, 0.4601, 0.5399),
    ):
        assert Share(successes, trials).interval == pytest.approx((low, high), abs=1e-4)
    assert str(Share(8, 10)) == "80.0% [49.0, 94.3]"
    for wrong in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ConfigError, match="at least 1 trial"):
            Share(*wrong)


@given(st.integers(1, 200), st.data())
def test_wilson_contains_the_share(trials: int, data: st.DataObject) -> None:
    share = Share(data.draw(st.integers(0, trials)), trials)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1


def test_paired_differences() -> None:
    first = [True] * 20 + [False] * 5 + [True] * 50 + [False] * 25
    second = [False] * 20 + [True] * 5 + [True] * 50 + [False] * 25
    found = paired(first, second)
    assert (found.problems, found.only_first, found.only_second, found.difference) == (
        100,
        20,
        5,
        0.15,
    )
    # Two-sided binomial test of 5 in 25 at one half.
    expected = 2 * sum(math.comb(25, k) for k in range(6)) / 2**25
    assert found.p_value == pytest.approx(expected) == pytest.approx(0.00408, abs=1e-5)
    error = math.sqrt((0.25 - 0.15**2) / 100)
    assert found.interval == pytest.approx((0.15 - 1.96 * error, 0.15 + 1.96 * error), abs=0.02)
    assert found == paired(first, second)
    mirrored = paired(second, first)
    assert (mirrored.difference, mirrored.p_value) == (-0.15, found.p_value)
    assert str(found).startswith("+15.0 [")
    assert str(found).endswith("(+20 -5, p 0.0041)")
    same = paired(first, first)
    assert (same.difference, same.p_value, same.interval) == (0.0, 1.0, (0.0, 0.0))
    for wrong in (([], []), ([True], [])):
        with pytest.raises(ConfigError, match="same problems"):
            paired(*wrong)


def test_comparisons_as_sentences() -> None:
    # `str` stays short, the sentence is for reports.
    fewer = paired([False, False, True], [True, True, True])
    assert str(fewer) == "-66.7 [-100.0, +0.0] (+0 -2, p 0.5)"
    assert fewer.sentence("search", "majority at equal tokens") == (
        "search solves 66.7 points fewer than majority at equal tokens "
        "(95% interval -100 to 0; better on 0 problems, worse on 2; p = 0.5)"
    )
    more = Paired(200, 31, 1, 0.15, (0.0951, 0.205), 1.5e-8)
    assert more.sentence("search", "greedy") == (
        "search solves 15 points more than greedy "
        "(95% interval 9.51 to 20.5; better on 31 problems, worse on 1; p = 1.5e-08)"
    )
    equal = Paired(100, 3, 3, 0.0, (-0.05, 0.05), 1.0)
    assert equal.sentence("a", "b", "tasks") == (
        "a solves as many tasks as b (95% interval -5 to 5; better on 3 tasks, worse on 3; p = 1)"
    )
    same = paired([True], [True])
    assert same.sentence("a", "b") == (
        "a solves as many problems as b "
        "(95% interval 0 to 0; better on 0 problems, worse on 0; p = 1)"
    )


def test_a_sentence_counts_one_in_the_singular() -> None:
    one = Paired(100, 1, 0, 0.01, (-0.0, 0.03), 1.0)
    assert one.sentence("a", "b") == (
        "a solves 1 point more than b (95% interval 0 to 3; better on 1 problem, worse on 0; p = 1)"
    )


def test_tokens_are_spent_in_order() -> None:
    samples = [sample("a", tokens=30), sample("b", tokens=30), sample("c", tokens=50)]
    assert [len(within(samples, tokens)) for tokens in (0, 30, 59, 60, 109, 110, 999)] == [
        1,
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    spent = {"p": [sample("x", tokens=40), sample("x", tokens=30)], "q": [sample("x", tokens=5)]}
    kept = at_equal_tokens({"q": samples, "p": samples}, spent)
    assert list(kept) == ["p", "q"]
    assert [len(ones) for ones in kept.values()] == [2, 1]
    with pytest.raises(ConfigError, match="got none of q"):
        at_equal_tokens({"p": samples, "q": []}, spent)


def test_accuracies_of_a_set_of_problems() -> None:
    samples = {
        "p": [
            sample("1", True, 0.2, 10, -1.0),
            sample("2", False, 0.9, 20, -0.5),
            sample("1", True, 0.1, 30, -0.7),
        ],
        "q": [sample("5", False, 0.1, 10, -0.2), sample("6", True, 0.3, 10, -0.9)],
        "r": [sample("", False, None, 40)],
    }
    found = {one.name: one for one in selections(samples, "s ", top=2)}
    assert {name: one.solved for name, one in found.items()} == {
        "s majority": (True, True, False),
        "s best": (False, True, False),
        "s vote of 2": (False, True, False),
        "s weighted vote of 2": (False, True, False),
        "s weighted vote": (True, True, False),
        "s likeliest": (False, False, False),
    }
    one = found["s majority"]
    assert (one.tokens, one.samples, one.share.value) == (40.0, 2.0, 2 / 3)
    assert pass_share(samples, 1).value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    with pytest.raises(ConfigError, match="at least one problem"):
        choose("none", {}, best)
    unscored = {"p": [sample("1"), sample("2")]}
    assert [one.name for one in selections(unscored)] == ["majority"]
    nobody = {one.name: one.solved for one in selections({"p": [sample("", False, None, 40)]})}
    assert nobody["weighted vote"] == nobody["best"] == (False,)


def test_votes_do_not_depend_on_the_order_of_unequal_scores() -> None:
    order = random.Random(0)
    scored = [sample(str(i % 3), score=i / 10) for i in range(9)]
    for way in (best, vote, lambda ones: vote(ones, 4), lambda ones: vote(ones, 4, True)):
        expected = way(scored)
        for _ in range(20):
            shuffled = order.sample(scored, len(scored))
            assert way(shuffled) == expected
