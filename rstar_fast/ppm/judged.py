"""A scorer of steps and a judge of final answers as one scorer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.ppm.packed_scorer import PackedScorer
from rstar_fast.steps import has_final_answer
from rstar_fast.tree import Tree


class JudgedScorer:
    """A `Scorer` that asks one model about steps and another about final answers.

    A PPM that guides the steps may be no good judge of whole solutions. An outcome model (ORM) is
    trained to be one.

    Attributes:
        steps: Scorer of all other steps.
        finals: Scorer of steps that give a final answer.
        name: Names of both.
    """

    def __init__(self, steps: PackedScorer, finals: PackedScorer) -> None:
        """Take the two scorers."""
        self.steps = steps
        self.finals = finals
        self.name = f"{steps.name}, final answers by {finals.name}"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order. A request gets the error of either model."""
        parts = [_split(request) for request in requests]
        asked = iter(self.steps.score([part.steps for part in parts if part.steps]))
        judged = iter(self.finals.score([part.finals for part in parts if part.finals]))
        return [
            _joined(
                request.id,
                part.is_final,
                next(asked) if part.steps else None,
                next(judged) if part.finals else None,
            )
            for request, part in zip(requests, parts, strict=True)
        ]

    def score_trees(self, trees: Sequence[Tree]) -> list[Scores]:
        """Score every node of finished trees, as `PackedScorer.score_trees` does."""
        scores = zip(
            trees, self.steps.score_trees(trees), self.finals.score_trees(trees), strict=True
        )
        return [_chosen(i, *each) for i, each in enumerate(scores)]


class _Parts(NamedTuple):
    """A request for each model, None where it is asked nothing, and which children are final."""

    steps: ScoreRequest | None
    finals: ScoreRequest | None
    is_final: NDArray[np.bool_]


def _split(request: ScoreRequest) -> _Parts:
    # A child may be the whole of a block, or the end of one that is open.
    is_final = np.array([has_final_answer(child) for child in request.children], np.bool_)
    if not is_final.any():
        return _Parts(request, None, is_final)
    if is_final.all():
        return _Parts(None, request, is_final)
    return _Parts(_part(request, ~is_final), _part(request, is_final), is_final)


def _part(request: ScoreRequest, kept: NDArray[np.bool_]) -> ScoreRequest:
    def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value for value, keep in zip(values, kept, strict=True) if keep)

    return replace(
        request,
        children=some(request.children),
        child_logprobs=some(request.child_logprobs) if request.child_logprobs else (),
        child_observations=some(request.child_observations) if request.child_observations else (),
    )


def _joined(
    number: int, is_final: NDArray[np.bool_], steps: Scores | None, finals: Scores | None
) -> Scores:
    values = np.zeros(len(is_final))
    for scores, kept in ((steps, ~is_final), (finals, is_final)):
        if scores is None:
            continue
        if scores.error is not None:
            return Scores(number, np.array([], np.float64), scores.error)
        values[kept] = scores.values
    return Scores(number, values)


def _chosen(number: int, tree: Tree, steps: Scores, finals: Scores) -> Scores:
    error = steps.error or finals.error
    if error is not None:
        return Scores(number, np.array([], np.float64), error)
    is_final = np.array([node.end == "answer" for node in tree.nodes], np.bool_)
    return Scores(number, np.where(is_final, finals.values, steps.values))
