"""Samples of a tree as one packed sequence in which every token stands once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rstar_fast._core import NO_TOKEN, Pack, pack
from rstar_fast.errors import DataError
from rstar_fast.training_samples.sample import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PackedSamples:
    """Samples with each token once, for a trainer whose attention follows `Pack.end`.

    Where other weights drew the same tokens (`Sample.versions`), they stand once for each, as their
    log-probabilities differ.

    A sum over samples of what a trainer computes at their drawn tokens is a sum over packed tokens:
    of `weight` times what depends on the token alone (a log-probability, an entropy, a KL term), of
    `advantage` times what the advantage multiplies. A clipped objective takes another branch for
    advantages below 0, so these are also summed apart.

    Attributes:
        packed: Tokens in depth-first order, with position and end.
        before: Packed index of the token in front of each token, whose logits predict it, int32
            [tokens]. NO_TOKEN at the beginning of a prompt.
        weight: Sum of the weights of the samples in which each token was drawn, float64 [tokens]. 0
            for tokens that none has drawn.
        positive: Sum of weight times advantage, of advantages above 0, float64 [tokens].
        negative: Sum of weight times advantage, of advantages below 0, float64 [tokens].
        logprobs: Log-probability of each token when it was drawn, nats, float64 [tokens]. 0 where
            `weight` is 0. None if a sample has none.
        num_sample_tokens: Number of tokens of all samples one by one, prompts among them.
    """

    packed: Pack
    before: NDArray[np.int32]
    weight: Floats
    positive: Floats
    negative: Floats
    logprobs: Floats | None
    num_sample_tokens: int

    @property
    def advantage(self) -> Floats:
        """Sum of weight times advantage, float64 [tokens]."""
        return self.positive + self.negative


def pack_samples(
    samples: Sequence[Sample], weights: Sequence[float] | None = None
) -> PackedSamples:
    """Pack samples, of one tree or of several.

    Args:
        samples: Samples, at least one.
        weights: Weight of each sample in the sum, >= 0. None for 1 each.

    Raises:
        DataError: There is no sample, or not one weight for each. A sample has no token, columns of
            different lengths, or a number that no trainer can take.
    """
    if not samples:
        raise DataError("pack_samples: expected at least one sample, got none")
    if weights is not None and len(weights) != len(samples):
        raise DataError(
            f"pack_samples: expected {len(samples)} weights, one a sample, got {len(weights)}"
        )
    if weights is not None and not all(0 <= weight < float("inf") for weight in weights):
        raise DataError(f"pack_samples: expected weights of at least 0, got {list(weights)}")
    for place, one in enumerate(samples):
        _check(one, place)
    sequences = [
        list(
            zip(
                one.prompt_ids + one.completion_ids,
                (-1,) * len(one.prompt_ids) + one.versions,
                strict=True,
            )
        )
        for one in samples
    ]
    packed, places = _packed(sequences)
    num_tokens = len(packed.tokens)
    weight, positive, negative = (np.zeros(num_tokens) for _ in range(3))
    before = np.full(num_tokens, NO_TOKEN, np.int32)
    logprobs = None if any(one.logprobs is None for one in samples) else np.zeros(num_tokens)
    for i, (sample, at) in enumerate(zip(samples, places, strict=True)):
        before[at[1:]] = at[:-1]
        own = at[len(sample.prompt_ids) :]
        factor = 1.0 if weights is None else weights[i]
        drawn = np.array(sample.mask, bool)
        credit = np.array(sample.advantages) * factor * drawn
        weight[own] += factor * drawn
        positive[own] += credit.clip(min=0)
        negative[own] += credit.clip(max=0)
        if logprobs is not None and sample.logprobs is not None:
            logprobs[own[drawn]] = np.array(sample.logprobs)[drawn]
    return PackedSamples(
        packed, before, weight, positive, negative, logprobs, sum(map(len, sequences))
    )


def _check(sample: Sample, place: int) -> None:
    own = (sample.logprobs, sample.mask, sample.advantages, sample.versions)
    lengths = [len(sample.completion_ids), *(len(one) for one in own if one is not None)]
    if len(set(lengths)) > 1:
        raise DataError(
            f"pack_samples: sample {place}: expected completion_ids, logprobs, mask, advantages "
            f"and versions of one length, got lengths {lengths}"
        )
    ids = sample.prompt_ids + sample.completion_ids
    wrong = [one for one in ids if not 0 <= one < 1 << 31]
    if wrong or not ids:
        raise DataError(
            f"pack_samples: sample {place}: expected token ids of at least 0 and at most 31 bits, "
            f"got {wrong[0] if wrong else 'none'}"
        )
    if not np.isfinite([*sample.advantages, *(sample.logprobs or ())]).all():
        raise DataError(
            f"pack_samples: sample {place}: expected finite advantages and log-probabilities"
        )


def _packed(
    sequences: Sequence[Sequence[tuple[int, int]]],
) -> tuple[Pack, list[NDArray[np.int32]]]:
    """Pack sequences so that what they begin with in common stands once.

    Args:
        sequences: Token ids, each with the number of the weights that drew it.

    Returns:
        The pack, and the packed index of every token of each sequence.
    """
    found: dict[tuple[int, tuple[int, int]], int] = {}
    nodes = []
    for sequence in sequences:
        node, way = -1, []
        for token in sequence:
            node = found.setdefault((node, token), len(found))
            way.append(node)
        nodes.append(way)
    parents = np.array([node for node, _ in found], np.int32)
    tokens = np.array([token for _, (token, _) in found], np.int32)
    packed = pack(parents, np.ones(len(found), np.int32), tokens)
    return packed, [packed.begin[way] for way in nodes]
