"""Scores by a PPM: every partial solution is one row of a padded batch."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch

from rstar_fast.errors import ScoreError
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.texts import Texts, Tokens


class TransformersScorer:
    """A `Scorer` that runs the PPM once per distinct partial solution.

    The row of a child is the prompt, the path's segments and the child, each piece tokenized on its own (and once: its tokens are
    kept), so that a step has the same tokens wherever it stands. The score is read at the last token.

    Attributes:
        ppm: the model.
        batch_tokens: rows times width of a batch, at most (one row is always taken).
        name: the model's.
    """

    def __init__(self, ppm: PPM, batch_tokens: int = 16384) -> None:
        """Score with `ppm`, in batches of `batch_tokens` tokens with their padding."""
        if batch_tokens < 1:
            raise ScoreError(f"batch_tokens: expected at least 1, got {batch_tokens}")
        self.ppm = ppm
        self.batch_tokens = batch_tokens
        self.name = ppm.name
        self._texts = Texts(ppm, ppm.max_tokens)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """See `Scorer`. Errors of a request: too long for the model, tokens it does not know, a score that is NaN, no memory."""
        rows: list[list[Tokens] | str] = [self._rows(request) for request in requests]
        distinct = {row for group in rows if not isinstance(group, str) for row in group}
        found = self._run(sorted(distinct, key=lambda row: (-len(row), row)))
        answers = []
        for request, group in zip(requests, rows, strict=True):
            results = [group] if isinstance(group, str) else [found[row] for row in group]
            error = next((result for result in results if isinstance(result, str)), None)
            values = np.array([] if error else results, np.float64)
            answers.append(Scores(request.id, values, error))
        return answers

    def _rows(self, request: ScoreRequest) -> list[Tokens] | str:
        """The tokens of every child's solution, or why there are none."""
        found = self._texts.of(request)
        if isinstance(found, str):
            return found
        prefix = tuple(chain.from_iterable(found[0]))
        return [prefix + child for child in found[1]]

    def _run(self, rows: Sequence[Tokens]) -> dict[Tokens, float | str]:
        """Score or error of every row. Rows come longest first, so that the first batch shows whether memory lasts."""
        found: dict[Tokens, float | str] = {}
        budget = self.batch_tokens
        while len(found) < len(rows):
            width = len(rows[len(found)])
            batch = rows[len(found) : len(found) + max(1, budget // width)]
            values = self._forward_if_it_fits(batch, width)
            if values is not None:
                for row, value in zip(batch, values, strict=True):
                    found[row] = value if np.isfinite(value) else f"the PPM's score is {value}"
            elif len(batch) > 1:
                budget = width * len(batch) // 2
            else:
                found[batch[0]] = f"out of memory at one solution of {width} tokens"
        return found

    def _forward_if_it_fits(self, batch: Sequence[Tokens], width: int) -> list[float] | None:
        try:
            return self._forward(batch, width)
        except torch.OutOfMemoryError:
            pass
        # Only here, behind the handler, has the failed forward let go of its tensors.
        if self.ppm.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Tokens], width: int) -> list[float]:
        ids = np.zeros((len(batch), width), np.int64)
        for i, row in enumerate(batch):
            ids[i, : len(row)] = row
        last = np.array([len(row) - 1 for row in batch])
        device = self.ppm.model.device
        values = self.ppm.forward(torch.from_numpy(ids).to(device), torch.from_numpy(last).to(device))
        scores: list[float] = self.ppm.squash(values).tolist()
        return scores
