"""What was answered to a problem, and how one answer is made of many (rStar-Math, section 4.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rstar_fast.errors import ConfigError
from rstar_fast.verify.grade.answers import normalise


@dataclass(frozen=True, slots=True)
class Sample:
    """One trajectory's answer, or that of one search.

    Attributes:
        answer: "" where there is none.
        correct: whether it is right.
        tokens: that were generated for it; of a search all of them.
        score: what it is chosen by, the higher the better; None where nothing scored it.
        logprob: mean log-probability of its tokens under the policy, nats; None where unknown.
    """

    answer: str
    correct: bool
    tokens: int
    score: float | None = None
    logprob: float | None = None


Choose = Callable[[Sequence[Sample]], "Sample | None"]


def best(samples: Sequence[Sample]) -> Sample | None:
    """The best-scored answer; ties go to the first; None without any."""
    ranked = _ranked(samples)
    return ranked[0] if ranked else None


def vote(
    samples: Sequence[Sample], top: int | None = None, weighted: bool = False
) -> Sample | None:
    """The answer given most often, as its best-scored sample; None without any.

    Answers are the same if their normal forms are. Ties go to the answer with the better-scored (without scores: earlier) sample.

    Args:
        samples: of one problem.
        top: only so many best-scored ones vote, >= 1; None for all.
        weighted: a vote counts by its score, moved from [-1, 1] to [0, 1].

    Raises:
        ConfigError: scores are needed, and missing.
    """
    if top is not None and top < 1:
        raise ConfigError(f"vote: expected at least 1 voter, got {top}")
    voters = _ranked(samples, needed=weighted or top is not None)[:top]
    first: dict[str, Sample] = {}
    weights: dict[str, float] = {}
    for one in voters:
        form = normalise(one.answer)
        first.setdefault(form, one)
        weights[form] = (
            weights.get(form, 0.0) + ((one.score or 0.0) + 1) / 2
            if weighted
            else weights.get(form, 0.0) + 1.0
        )
    # max() takes the first of equals, and dicts keep the order in which answers came.
    return first[max(weights, key=weights.__getitem__)] if weights else None


def likeliest(samples: Sequence[Sample]) -> Sample | None:
    """The answer of the highest mean log-probability: what a PPM must beat; None without any."""
    known = [one for one in samples if one.answer and one.logprob is not None]
    return max(known, key=lambda one: one.logprob or 0.0) if known else None


def within(samples: Sequence[Sample], tokens: int) -> list[Sample]:
    """The first samples that cost at most so many generated tokens together, one at least."""
    taken: list[Sample] = []
    for one in samples:
        tokens -= one.tokens
        if taken and tokens < 0:
            break
        taken.append(one)
    return taken


def _ranked(samples: Sequence[Sample], needed: bool = True) -> list[Sample]:
    """Those with an answer, the best-scored first; in the order given where nothing is scored."""
    answered = [one for one in samples if one.answer]
    scored = sum(one.score is not None for one in answered)
    if scored == len(answered):
        return sorted(answered, key=lambda one: -(one.score or 0.0))
    if needed or scored:
        raise ConfigError(
            f"expected a score of every answer to choose by, got {scored} among {len(answered)}"
        )
    return answered
