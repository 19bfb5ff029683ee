"""What stopping a search when it is sure would have cost and saved."""

from collections import Counter
from collections.abc import Sequence

from rstar_fast.evaluate import Known, Sample, calibration, moments, stopped_at


def share_of_the_leader(answers: Sequence[str], weights: Sequence[float]) -> float:
    votes: Counter[str] = Counter()
    for answer, weight in zip(answers, weights, strict=True):
        votes[answer] += weight
    return max(votes.values()) / sum(votes.values())


def known(tokens: int, answer: str, score: float | None = None) -> Known:
    return Known(tokens, Sample(answer, answer == "5", 1, score))


SEARCHES = {
    "turns": [known(10, "6"), known(20, ""), known(30, "5"), known(40, "5"), known(50, "5")],
    "sticks": [known(10, "5"), known(20, "5")],
    "nothing": [known(10, "")],
}
TOTALS = {"turns": 55, "sticks": 20, "nothing": 15}


def test_moments_are_told_by_the_answers_so_far() -> None:
    found = moments(SEARCHES, share_of_the_leader)
    assert [(one.tokens, one.correct, one.stays) for one in found["turns"]] == [
        (10, False, False),
        (30, False, False),
        (40, True, True),
        (50, True, True),
    ]
    assert [round(one.sure, 2) for one in found["turns"]] == [1.0, 0.5, 0.67, 0.75]
    assert found["nothing"] == []


def test_scores_weigh_the_votes() -> None:
    found = moments(
        {"p": [known(1, "6", -0.8), known(2, "5", 1.0), known(3, "6", -0.9)]}, share_of_the_leader
    )
    assert [one.correct for one in found["p"][1:]] == [True, True]


def test_the_best_scored_answer_of_a_moment_is_told_beside_the_leading_one() -> None:
    found = moments(
        {
            "scored": [known(1, "6", 0.1), known(2, "6", 0.1), known(3, "5", 0.2)],
            "unscored": [known(1, "6"), known(2, "5"), known(3, "5")],
        },
        share_of_the_leader,
    )
    assert [(one.correct, one.best_correct) for one in found["scored"]] == [
        (False, False),
        (False, False),
        (False, True),
    ]
    assert all(one.correct == one.best_correct for one in found["unscored"])
    late = stopped_at(found, {"scored": 3, "unscored": 3}, 1.1)
    assert late.solved == (False, True) and late.solved_by_best == (True, True)


def test_a_calibration_counts_moments_at_doubling_numbers_of_answers() -> None:
    found = moments(SEARCHES, share_of_the_leader)
    rows = [
        (low, high, right.successes, stays.successes, right.trials)
        for low, high, right, stays in calibration(found)
    ]
    # Of "turns" the first, second and fourth count: 1.0, 0.5 and 0.75.
    assert rows == [(0.5, 0.7, 0, 0, 1), (0.7, 0.8, 1, 1, 1), (0.99, 1.0, 2, 2, 3)]


def test_a_threshold_saves_tokens_and_may_cost_answers() -> None:
    found = moments(SEARCHES, share_of_the_leader)
    early, never = (stopped_at(found, TOTALS, threshold) for threshold in (0.9, 1.1))
    assert early.solved == (False, True, False) and never.solved == (True, True, False)
    assert (early.tokens, never.tokens) == ((10 + 10 + 15) / 3, (55 + 20 + 15) / 3)
