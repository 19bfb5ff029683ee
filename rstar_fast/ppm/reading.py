"""What a PPM says about reading solutions and about its values, whoever runs its model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rstar_fast.errors import ScoreError
from rstar_fast.ppm.base import Scores
from rstar_fast.ppm.spec import ScoreSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rstar_fast.ppm.model import PPM

_MOST_CERTAIN = 1 - 1e-7
"""Largest magnitude of a score in float32 that can be told from 1."""


class Constants(NamedTuple):
    """The constants in the config.json of a PPM, see `ppm.model`."""

    scale: float
    bias: float
    likelihood: float
    observations: bool


@dataclass(frozen=True)
class ServedPPM:
    """A PPM whose model another engine runs.

    Attributes:
        name: Folder or hub name that it came from.
        tokenizer: Tokenizer of the model.
        spec: Way in which it reads solutions.
        scale: Number that the head's value is divided by before the tanh, > 0.
        bias: Number that is added to the head's value before the division.
        likelihood: Factor of a path's log-probability, >= 0.
        num_embeddings: Number of tokens that have an embedding.
        max_tokens: Length of the longest text that the model takes, tokens. None for any.
    """

    name: str
    tokenizer: "PreTrainedTokenizerBase"
    spec: ScoreSpec
    scale: float
    bias: float
    likelihood: float
    num_embeddings: int
    max_tokens: int | None

    @classmethod
    def of(
        cls, name: str, config: Any, tokenizer: "PreTrainedTokenizerBase", spec: ScoreSpec
    ) -> "ServedPPM":
        """Take what a PPM's configuration says.

        Args:
            name: Folder or hub name.
            config: Configuration of the model.
            tokenizer: Tokenizer of the model.
            spec: Way in which it reads solutions. `ppm_observations` of the config is added.

        Raises:
            ScoreError: A constant in the config is no finite number, or out of range.
        """
        found = read_constants(name, config)
        return cls(
            name,
            tokenizer,
            replace(spec, observations=spec.observations or found.observations),
            found.scale,
            found.bias,
            found.likelihood,
            config.get_text_config().vocab_size,
            max_tokens(config),
        )

    def squash(self, value: float) -> float:
        """Return the score in [-1, 1] of a value of the head."""
        return math.tanh((value + self.bias) / self.scale)


def read_constants(name: str, config: Any) -> Constants:
    """Return the constants of a PPM. Those that are missing have their defaults.

    Args:
        name: Folder or hub name of the PPM, for the error.
        config: Configuration of the model.

    Raises:
        ScoreError: A constant is no finite number, or out of range.
    """
    found = []
    for option, default in (("ppm_scale", 1.0), ("ppm_bias", 0.0), ("ppm_likelihood", 0.0)):
        value = getattr(config, option, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ScoreError(
                f"{name}: config.json: {option}: expected a finite number, got {value!r}"
            )
        found.append(float(value))
    scale, bias, likelihood = found
    observations = getattr(config, "ppm_observations", False)
    if not isinstance(observations, bool):
        raise ScoreError(
            f"{name}: config.json: ppm_observations: expected true or false, got {observations!r}"
        )
    if scale <= 0:
        raise ScoreError(f"{name}: config.json: ppm_scale: expected a number above 0, got {scale}")
    if likelihood < 0:
        raise ScoreError(
            f"{name}: config.json: ppm_likelihood: expected a number of at least 0, "
            f"got {likelihood}"
        )
    return Constants(scale, bias, likelihood, observations)


def max_tokens(config: Any) -> int | None:
    """Return the length of the longest text that a model takes. None if it does not say."""
    found: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found


def with_likelihood(ppm: "PPM | ServedPPM", score: float, logprob: float) -> float:
    """Add the policy's likelihood of a path to a score. Does nothing if `ppm.likelihood` is 0.

    Args:
        ppm: PPM.
        score: Score by the head alone, in [-1, 1].
        logprob: Log-probability of the whole path under the policy, nats.

    Returns:
        Score in [-1, 1].
    """
    if not ppm.likelihood:
        return score
    squashed = min(max(score, -_MOST_CERTAIN), _MOST_CERTAIN)
    return math.tanh(math.atanh(squashed) + ppm.likelihood * logprob / ppm.scale)


def scores_of_paths(
    number: int, ppm: "PPM | ServedPPM", paths: Sequence[Sequence[float]], logprobs: Sequence[float]
) -> Scores:
    """Return the scores of some paths.

    Args:
        number: Number of the request that is answered.
        ppm: PPM.
        paths: Scores by the head alone, in [-1, 1], on each path: after the prompt, then after
            each step. The prompt's own score counts only where there are no steps.
        logprobs: Log-probability of each path under the policy, nats.
    """
    values = [ppm.spec.of_path(path[1:] or path) for path in paths]
    if ppm.likelihood:
        if len(logprobs) != len(paths) or not all(map(isfinite, logprobs)):
            error = "the PPM uses log-probabilities of the policy, but the policy gives none"
            return Scores(number, np.array([], np.float64), error)
        values = [
            with_likelihood(ppm, value, logprob)
            for value, logprob in zip(values, logprobs, strict=True)
        ]
    return Scores(number, np.array(values, np.float64))
