"""The constants of a PPM in its config.json, and the score that they make of the head's value."""

import math
from dataclasses import dataclass
from typing import Any

from rstar_fast.errors import ScoreError

_MOST_CERTAIN = 1 - 1e-7
"""Largest magnitude of a score in float32 that can be told from 1."""


@dataclass(frozen=True, slots=True)
class Constants:
    """The constants of a PPM. See `ppm.model` for the formula.

    Attributes:
        scale: Number that the head's value is divided by before the tanh, > 0.
        bias: Number that is added to the value before the division.
        likelihood: Factor of a path's log-probability (nats), >= 0.
        observations: Whether the PPM reads what steps inside an open code block showed.
    """

    scale: float = 1.0
    bias: float = 0.0
    likelihood: float = 0.0
    observations: bool = False

    @classmethod
    def of(cls, config: Any, name: str) -> "Constants":
        """Read the constants of a model's configuration. Those that are missing have defaults.

        Args:
            config: Configuration of transformers.
            name: Name of the model, for errors.

        Raises:
            ScoreError: A constant is no finite number, or out of range.
        """
        found: dict[str, float] = {}
        for option, default in (("scale", 1.0), ("bias", 0.0), ("likelihood", 0.0)):
            value = getattr(config, f"ppm_{option}", default)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not math.isfinite(value)
            ):
                raise ScoreError(
                    f"{name}: config.json: ppm_{option}: expected a finite number, got {value!r}"
                )
            found[option] = float(value)
        observations = getattr(config, "ppm_observations", False)
        if not isinstance(observations, bool):
            raise ScoreError(
                f"{name}: config.json: ppm_observations: expected true or false, "
                f"got {observations!r}"
            )
        constants = cls(**found, observations=observations)
        if constants.scale <= 0:
            raise ScoreError(
                f"{name}: config.json: ppm_scale: expected a number above 0, got {constants.scale}"
            )
        if constants.likelihood < 0:
            raise ScoreError(
                f"{name}: config.json: ppm_likelihood: expected a number of at least 0, "
                f"got {constants.likelihood}"
            )
        return constants

    def score(self, value: float) -> float:
        """Return the score in [-1, 1] of the head's value, without the policy's likelihood."""
        return math.tanh((value + self.bias) / self.scale)

    def with_likelihood(self, score: float, logprob: float) -> float:
        """Add the policy's likelihood of a path to the score. Does nothing if `likelihood` is 0.

        Args:
            score: Score by the head alone, in [-1, 1].
            logprob: Log-probability of the whole path under the policy, nats.

        Returns:
            Score in [-1, 1].
        """
        if not self.likelihood:
            return score
        squashed = min(max(score, -_MOST_CERTAIN), _MOST_CERTAIN)
        return math.tanh(math.atanh(squashed) + self.likelihood * logprob / self.scale)
