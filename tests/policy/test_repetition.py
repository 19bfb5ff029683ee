"""Candidates that are drawn without repetition follow sampling without replacement."""

import dataclasses
import math
from random import Random

import pytest
import torch
from tiny_models import answers, byte_tokenizer, request, tiny_model

from rstar_fast.policy import Sampling, TransformersPolicy
from rstar_fast.policy.base import Drawn
from rstar_fast.policy.repetition import left_over

END, LONGEST = 0, 3
Sequence = tuple[int, ...]


def logits_after(tokens: Sequence) -> torch.Tensor:
    """A made-up model of four tokens. Token 0 ends a text."""
    return 2 * torch.randn(4, generator=torch.Generator().manual_seed(hash(tokens) % 1000))


def logprobs_of(sequence: Sequence, drawn: list[Drawn]) -> list[float]:
    found = []
    for i, token in enumerate(sequence):
        logits = left_over(logits_after(sequence[:i]), sequence[:i], drawn)
        found.append(float(logits.log_softmax(-1)[token]))
    return found


def all_sequences(before: Sequence = ()) -> list[Sequence]:
    if len(before) == LONGEST or END in before:
        return [before]
    return [one for token in range(4) for one in all_sequences((*before, token))]


SEQUENCES = all_sequences()
DRAWN = {one: Drawn(one, tuple(logprobs_of(one, []))) for one in SEQUENCES}
MASS = {one: math.exp(sum(drawn.logprobs)) for one, drawn in DRAWN.items()}


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_what_is_left_is_drawn_in_proportion(count: int) -> None:
    assert sum(MASS.values()) == pytest.approx(1.0)
    for seed in range(8):
        known = Random(seed).sample(SEQUENCES, count)
        left = 1 - sum(MASS[one] for one in known)
        for one in SEQUENCES:
            # Log-probabilities are kept in float32.
            found = math.exp(sum(logprobs_of(one, [DRAWN[other] for other in known])))
            assert found == pytest.approx(
                0.0 if one in known else MASS[one] / left, rel=1e-3, abs=1e-4
            )


def test_a_draw_is_as_usual_when_nothing_is_left() -> None:
    logits = logits_after(())
    assert left_over(logits, (), list(DRAWN.values())) is logits
    assert left_over(logits, (1, 2), [DRAWN[(END,)]]) is logits


def test_a_policy_leaves_out_what_was_drawn() -> None:
    tokenizer = byte_tokenizer()
    policy = TransformersPolicy(tiny_model("qwen2", tokenizer, spread=1.0), tokenizer)
    first = request(0, n=30, sampling=Sampling(max_tokens=1))
    plain = {one.token_ids: one.logprobs for one in answers(policy, [first])[0].candidates}
    assert len(plain) < 25
    drawn: list[Drawn] = []
    for number in range(30):
        one = dataclasses.replace(
            first, num_candidates=1, first_candidate=number, drawn=tuple(drawn)
        )
        (candidate,) = answers(policy, [one])[0].candidates
        drawn.append(Drawn(candidate.token_ids, candidate.logprobs))
    ids = [one.token_ids for one in drawn]
    assert len(set(ids)) == 30
    # The log-probabilities are those of the model.
    for one in drawn:
        if one.token_ids in plain:
            assert one.logprobs == pytest.approx(plain[one.token_ids], abs=1e-4)
    assert set(plain) & set(ids)
