"""The weights of a PPM's head and of the policy's likelihood, fitted on pairs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rstar_fast.data import PairGroup
from rstar_fast.errors import DataError
from rstar_fast.ppm.model import PPM
from rstar_fast.training.pair_accuracy import pair_differences

_PRIOR = 0.5
"""Strength of the priors, as that of so many pairs about which nothing is known."""
_STEPS = 100
_TOLERANCE = 1e-9


class FittedWeights(NamedTuple):
    """Weights of the two parts of a PPM's value.

    Attributes:
        head: Weight of the head's value, >= 0. It is in the head's own weights already.
        likelihood: Weight of the log-probability of a path, nats, >= 0.
        pairs: Number of pairs that they were fitted on.
    """

    head: float
    likelihood: float
    pairs: int


def fit_likelihood(ppm: PPM, groups: Sequence[PairGroup]) -> FittedWeights:
    """Fit the weights of head and likelihood on pairs, and put them into a PPM.

    The head's weights and its bias are multiplied by the one, and the config gets both:
    `ppm_likelihood`, and `ppm_head_weight` for the record. Without pairs they are 1 and 1.

    Args:
        ppm: PPM. Changed.
        groups: Groups of pairs of problems that neither the head nor the policy learnt from.

    Raises:
        DataError: A log-probability is not known.
    """
    found = pair_differences(ppm, groups)[0] if groups else []
    if any(one.logprob is None for one in found):
        raise DataError(
            "expected the policy's log-probability of every step to fit its weight, "
            "got pairs without it"
        )
    parts = np.array([(one.value, one.logprob) for one in found], np.float64).reshape(-1, 2)
    weights = np.array([one.weight for one in found], np.float64)
    head, likelihood = fit_weights(parts, weights)
    config = ppm.model.config
    with torch.no_grad():
        ppm.model.score.weight.mul_(head)
    config.ppm_bias *= head
    config.ppm_likelihood, config.ppm_head_weight = likelihood, head
    return FittedWeights(head, likelihood, len(found))


def fit_weights(
    differences: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the weights, >= 0, under which preferred sides are preferred most likely.

    It is logistic regression without a constant, by Newton's method. How sure both parts together
    are is fitted first. A weak normal prior then holds both weights at that, the ratio that the
    head was trained with. So few pairs, or a head that does not matter, move the ratio little.

    Args:
        differences: Differences of head and log-probability, float64 [pairs, 2].
        weights: Weight of each pair, > 0, float64 [pairs].
    """
    if not len(weights):
        return 1.0, 1.0
    total = differences.sum(1, keepdims=True)
    (both,) = _newton(total, weights, np.ones(1))
    center = np.full(2, max(both, 0.0))
    free = np.array([True, True])
    while True:
        found = np.where(free, _newton(differences * free, weights, center), 0.0)
        if (found >= 0).all():
            return float(found[0]), float(found[1])
        # At the optimum with both >= 0, the one that would be negative is 0.
        free &= found >= 0


def _newton(
    parts: NDArray[np.float64], weights: NDArray[np.float64], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights of the parts, with a prior at `center` in units of each part's size."""
    sizes = (weights @ parts**2) / weights.sum()
    prior = _PRIOR / 4 * np.where(sizes > 0, sizes, 1.0)

    def loss_of(found: NDArray[np.float64]) -> float:
        distance = found - center
        return float(weights @ np.logaddexp(0, -parts @ found) + prior @ distance**2 / 2)

    found = center
    loss = loss_of(found)
    for _ in range(_STEPS):
        wrong = _sigmoid(-parts @ found)
        gradient = prior * (found - center) - parts.T @ (weights * wrong)
        curvature = parts.T @ (parts * (weights * wrong * (1 - wrong))[:, None])
        step = np.linalg.solve(curvature + np.diag(prior), gradient)
        size = 1.0
        # The loss is convex: a short enough step lowers it.
        while (new := loss_of(found - size * step)) > loss and size > 1e-6:
            size /= 2
        found, done, loss = found - size * step, loss - new < _TOLERANCE, new
        if done:
            break
    return found


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -values))
