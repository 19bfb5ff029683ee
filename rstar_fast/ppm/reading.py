"""What a PPM says of solutions and scores when another engine runs its model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from rstar_fast.ppm.base import Scores
from rstar_fast.ppm.constants import Constants
from rstar_fast.ppm.spec import ScoreSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(slots=True)
class ServedPPM:
    """A PPM without its model. See `texts.Reader`.

    Attributes:
        tokenizer: Tokenizer of the model.
        spec: Way in which it reads solutions.
        name: Folder or hub name.
        num_embeddings: Number of tokens that have an embedding.
        constants: Constants of its configuration.
    """

    tokenizer: "PreTrainedTokenizerBase"
    spec: ScoreSpec
    name: str
    num_embeddings: int
    constants: Constants

    @classmethod
    def of(
        cls, name: str, config: Any, tokenizer: "PreTrainedTokenizerBase", spec: ScoreSpec
    ) -> "ServedPPM":
        """Take what the configuration of a PPM says.

        Args:
            name: Folder or hub name.
            config: Configuration of transformers.
            tokenizer: Tokenizer of the model.
            spec: Way in which it reads solutions. `ppm_observations` of the configuration is added.

        Raises:
            ScoreError: A constant is no finite number, or out of range.
        """
        constants = Constants.of(config, name)
        spec = replace(spec, observations=spec.observations or constants.observations)
        return cls(tokenizer, spec, name, config.get_text_config().vocab_size, constants)


def scores_of_paths(
    number: int,
    spec: ScoreSpec,
    constants: Constants,
    paths: Sequence[Sequence[float]],
    logprobs: Sequence[float],
) -> Scores:
    """Return the scores of some paths.

    Args:
        number: Number of the request that is answered.
        spec: Way in which the PPM reads solutions.
        constants: Constants of the PPM.
        paths: Scores by the head alone, in [-1, 1], on each path: after the prompt, then after
            each step. The prompt's own score counts only where there are no steps.
        logprobs: Log-probability of each path under the policy, nats.
    """
    values = [spec.of_path(path[1:] or path) for path in paths]
    if constants.likelihood:
        if len(logprobs) != len(paths) or not all(map(isfinite, logprobs)):
            error = "the PPM uses log-probabilities of the policy, but the policy gives none"
            return Scores(number, np.array([], np.float64), error)
        values = list(map(constants.with_likelihood, values, logprobs))
    return Scores(number, np.array(values, np.float64))
