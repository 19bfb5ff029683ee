"""Answers to a problem, and ways to choose one of many (rStar-Math, section 4.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rstar_fast.errors import ConfigError
from rstar_fast.verify.grade.spelling import Spelling, spelling


@dataclass(frozen=True, slots=True)
class Sample:
    """The answer of one trajectory or of one search.

    Attributes:
        answer: The answer. "" where there is none.
        correct: Whether the answer is right.
        tokens: Number of tokens that were generated for it. All tokens of a search.
        score: Score that it is chosen by; a higher one is better. None where nothing scored it.
        logprob: Mean log-probability of its tokens under the policy, nats. None where unknown.
        weight: Weight of its vote, >= 0.
    """

    answer: str
    correct: bool
    tokens: int
    score: float | None = None
    logprob: float | None = None
    weight: float = 1.0

    @property
    def score_weight(self) -> float:
        """Score moved from [-1, 1] to [0, 1], as a weight of the vote. 0.5 without a score."""
        return ((self.score or 0.0) + 1) / 2


Choose = Callable[[Sequence[Sample]], "Sample | None"]
"""Function that chooses one of the samples of a problem, or None."""


def best(samples: Sequence[Sample]) -> Sample | None:
    """Return the answer with the best score. Ties go to the first one. None without an answer.

    Raises:
        ConfigError: Only some of the answers have a score.
    """
    ranked = _ranked(samples)
    return ranked[0] if ranked else None


def vote(
    samples: Sequence[Sample], top: int | None = None, weighted: bool = False
) -> Sample | None:
    """Return the best-scored sample of the answer that is given most often. None without an answer.

    A vote counts by `Sample.weight`. Answers are equal if they are spelled alike (`spelling`). Ties
    go to the answer with the better-scored sample, and to the earlier one where samples have no
    scores.

    Args:
        samples: Samples of one problem.
        top: Number of best-scored samples that vote, >= 1. None for all.
        weighted: Whether a vote counts by its score too, moved from [-1, 1] to [0, 1].

    Raises:
        ConfigError: `top` is below 1, or scores are needed and missing.
    """
    if top is not None and top < 1:
        raise ConfigError(f"vote: expected at least 1 voter, got {top}")
    voters = _ranked(samples, needed=weighted or top is not None)[:top]
    first: dict[Spelling, Sample] = {}
    weights: dict[Spelling, float] = {}
    for one in voters:
        form = spelling(one.answer)
        weight = one.weight * (one.score_weight if weighted else 1.0)
        first.setdefault(form, one)
        weights[form] = weights.get(form, 0.0) + weight
    # max() takes the first of equals, and dicts keep the order in which answers came.
    return first[max(weights, key=weights.__getitem__)] if weights else None


def likeliest(samples: Sequence[Sample]) -> Sample | None:
    """Return the answer with the highest mean log-probability. None without one.

    This is what a PPM must beat.
    """
    known = [one for one in samples if one.answer and one.logprob is not None]
    return max(known, key=lambda one: one.logprob or 0.0) if known else None


def unscored(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples without scores, so that ties of a vote go to the earlier answer."""
    return [replace(one, score=None) for one in samples]


def within(samples: Sequence[Sample], tokens: int) -> list[Sample]:
    """Return the first samples that cost at most `tokens` generated tokens together.

    The first sample is always taken.
    """
    taken: list[Sample] = []
    for one in samples:
        tokens -= one.tokens
        if taken and tokens < 0:
            break
        taken.append(one)
    return taken


def _ranked(samples: Sequence[Sample], needed: bool = True) -> list[Sample]:
    """Return the samples with an answer, best score first, or as given where none has a score.

    Args:
        samples: Samples of one problem.
        needed: Whether scores are needed.

    Raises:
        ConfigError: Scores are needed and missing, or only some of the answers have one.
    """
    answered = [one for one in samples if one.answer]
    scored = sum(one.score is not None for one in answered)
    if scored == len(answered):
        return sorted(answered, key=lambda one: -(one.score or 0.0))
    if needed or scored:
        raise ConfigError(
            f"expected a score of every answer to choose by, got {scored} among {len(answered)}"
        )
    return answered
