"""What stopping a search when it is sure would have cost and saved, told from finished searches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rstar_fast.evaluate.samples import Sample, best, vote
from rstar_fast.evaluate.statistics import Share
from rstar_fast.evaluate.timelines import Timelines
from rstar_fast.verify.grade.spelling import spelling

Sureness = Callable[[Sequence[str], Sequence[float]], float | None]
"""Function of answers and the weights of their votes, which says how sure the leading one is."""
BINS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Ends of the bins of a calibration."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A search at the moment when an answer became known.

    Attributes:
        tokens: Number of tokens generated so far.
        sure: How sure the leading answer is.
        correct: Whether the leading answer is right.
        best_correct: Whether the best-scored answer is right. Without scores, the leading one.
        stays: Whether it is the leading answer at the end of the search.
    """

    tokens: int
    sure: float
    correct: bool
    best_correct: bool
    stays: bool


def moments(timelines: Timelines, sureness: Sureness) -> dict[str, list[Moment]]:
    """Return the moments of each problem's search, by problem id, in order of their tokens.

    Votes are weighted by score where all answers have one, and by nothing else. Problems without an
    answer have no moment.

    Args:
        timelines: Answers of the searches by problem id, see `search_timeline`.
        sureness: Function that says how sure the leading answer is.
    """
    found: dict[str, list[Moment]] = {}
    for problem, timeline in timelines.items():
        known: list[Sample] = []
        leaders: list[tuple[int, float, Sample, bool]] = []
        for one in timeline:
            if not one.sample.answer:
                continue
            known.append(replace(one.sample, weight=1.0))
            weighted = all(sample.score is not None for sample in known)
            leader = vote(known, weighted=weighted)
            weights = [sample.score_weight if weighted else 1.0 for sample in known]
            sure = sureness([sample.answer for sample in known], weights)
            if leader is not None and sure is not None:
                chosen = best(known) if weighted else leader
                leaders.append((one.tokens, sure, leader, bool(chosen and chosen.correct)))
        last = spelling(leaders[-1][2].answer) if leaders else None
        found[problem] = [
            Moment(tokens, sure, leader.correct, best_correct, spelling(leader.answer) == last)
            for tokens, sure, leader, best_correct in leaders
        ]
    return found


def calibration(found: dict[str, list[Moment]]) -> list[tuple[float, float, Share, Share]]:
    """Return how often leading answers are right, and stay in the lead, by how sure they are.

    The first, second, fourth, eighth, ... moments of every search count, so that long searches do
    not outweigh the others.

    Returns:
        Lower and upper end of each bin with a moment in it, the share of right leaders, and the
        share of those that stay.
    """
    counted = [
        moment
        for of_one in found.values()
        for number, moment in enumerate(of_one, 1)
        if number & (number - 1) == 0
    ]
    rows = []
    for low, high in pairwise(BINS):
        inside = [one for one in counted if low <= one.sure < high or one.sure == high == 1.0]
        if inside:
            right = Share(sum(one.correct for one in inside), len(inside))
            stays = Share(sum(one.stays for one in inside), len(inside))
            rows.append((low, high, right, stays))
    return rows


@dataclass(frozen=True, slots=True)
class Stopped:
    """What searches that stop at a threshold solve.

    Attributes:
        threshold: How sure the leading answer must be. Above 1: no search stops.
        solved: Whether the leading answer of each problem is right, in the order of the problems.
        solved_by_best: Whether the best-scored answer is.
        tokens: Mean number of tokens generated per problem.
    """

    threshold: float
    solved: tuple[bool, ...]
    solved_by_best: tuple[bool, ...]
    tokens: float


def stopped_at(found: dict[str, list[Moment]], totals: dict[str, int], threshold: float) -> Stopped:
    """Return what is solved if each search stops at the first moment that is sure enough.

    Args:
        found: Moments by problem id.
        totals: Number of tokens that the whole search of each problem generated.
        threshold: How sure the leading answer must be.
    """
    solved, by_best, tokens = [], [], 0
    for problem, of_one in found.items():
        stop = next((one for one in of_one if one.sure >= threshold), None)
        tokens += stop.tokens if stop else totals[problem]
        last = stop or (of_one[-1] if of_one else None)
        solved.append(bool(last and last.correct))
        by_best.append(bool(last and last.best_correct))
    return Stopped(threshold, tuple(solved), tuple(by_best), tokens / len(found))
