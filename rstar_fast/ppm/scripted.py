"""A scorer that follows a script, for tests and examples."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rstar_fast.ppm.base import ScoreRequest, Scores


class ScriptedScorer:
    """A scorer that looks scores up in a table, or asks a function.

    Attributes:
        name: Name for the run record.
        requests: All requests that were answered so far, in order.
    """

    def __init__(
        self, script: Mapping[str, float] | Callable[[str, str], float], name: str = "scripted"
    ) -> None:
        """Make a scorer.

        Args:
            script: Scores in [-1, 1] by the text of the solution (path and child), or a function of
                the question and that text.
            name: Name for the run record.
        """
        self._script = script
        self.name = name
        self.requests: list[ScoreRequest] = []

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order. A solution that the table lacks is an error."""
        self.requests += requests
        return [self._answer(request) for request in requests]

    def _answer(self, request: ScoreRequest) -> Scores:
        path = "".join(segment.text for segment in request.path)
        solutions = [path + child for child in request.children]
        if callable(self._script):
            values = [self._script(request.question, solution) for solution in solutions]
        else:
            missing = [solution for solution in solutions if solution not in self._script]
            if missing:
                return Scores(
                    request.id, np.empty(0), f"the script has no score for {missing[0]!r}"
                )
            values = [self._script[solution] for solution in solutions]
        return Scores(request.id, np.array(values, np.float64))
