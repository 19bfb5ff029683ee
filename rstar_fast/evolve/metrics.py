"""Ids of what a round's results stage measures.

The values stand in `results.json` and in manifests.
"""

from enum import StrEnum


class Method(StrEnum):
    """A way to solve held-out problems, one of those that the report compares.

    POLICY: The policy alone, greedy.
    SEARCH: The vote of several searches, weighted by the PPM's scores.
    MAJORITY: The most frequent answer of the policy's samples. The PPM only breaks ties.
    BEST_BY_PPM: The sample that the PPM scores best.
    BEST_BY_ORM: The sample that the ORM scores best.
    BEST_BY_PQM: The sample that the PQM scores best.
    BEST_BY_PLAIN: The sample that a PPM without the policy's likelihood, the paper's, scores best.
    JUDGED: As SEARCH, but the ORM scores the final answers of the same trees.
    FIRST_POLICY: As SEARCH, with the first round's policy.
    """

    POLICY = "policy"
    SEARCH = "search: weighted vote"
    MAJORITY = "ppm: majority"
    BEST_BY_PPM = "ppm: best"
    BEST_BY_ORM = "orm: best"
    BEST_BY_PQM = "pqm: best"
    BEST_BY_PLAIN = "plain: best"
    JUDGED = "judged: weighted vote"
    FIRST_POLICY = "first policy: weighted vote"


class PairOrder(StrEnum):
    """A measurement of how many held-out preference pairs are in the right order.

    THIS_ROUND: The pairs of the round, ordered by the PPM's scores.
    FIRST_ROUND: The pairs of the first round, ordered by the PPM's scores.
    LIKELIHOOD: The pairs of the round, ordered by the policy's log-probabilities.
    PLAIN: The pairs of the round, ordered by the scores of a PPM without likelihood.
    """

    THIS_ROUND = "this round's"
    FIRST_ROUND = "the first round's"
    LIKELIHOOD = "likelihood"
    PLAIN = "without likelihood"


def method_id(source: str, selection: str) -> str:
    """Return the id of a method: a source of answers, and a way to select one of them.

    >>> method_id("ppm", "best") == Method.BEST_BY_PPM
    True

    Args:
        source: "search", "judged", "first policy", or the name of the model that scored the
            samples.
        selection: Name of the selection, as `rstar_fast.evaluate.selections` gives it.
    """
    return f"{source}: {selection}"
