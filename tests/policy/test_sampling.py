"""The sampler's distribution against the one computed by hand."""

import pytest
import torch
from torch import Tensor

from rstar_fast.policy import sampling
from rstar_fast.policy.sampling import draw


def exact(logits: Tensor, temperature: float, top_p: float, top_k: int) -> Tensor:
    """Probabilities after temperature, then top-k, then top-p."""
    probabilities = (logits.double() / temperature).softmax(-1)
    order = probabilities.argsort(descending=True)
    if top_k:
        probabilities[order[top_k:]] = 0
        probabilities /= probabilities.sum()
    before = probabilities[order].cumsum(-1) - probabilities[order]
    probabilities[order[before >= top_p]] = 0
    return probabilities / probabilities.sum()


def measured(
    logits: Tensor, temperature: float, top_p: float, top_k: int, count: int = 20_000
) -> Tensor:
    """Share of each token over evenly spread uniforms: the integral of the inverse CDF."""
    uniforms = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tokens = torch.cat(
        [
            draw(logits.repeat(len(u), 1), u, temperature, top_p, top_k).tokens
            for u in uniforms.split(500)
        ]
    )
    return torch.bincount(tokens, minlength=len(logits)).double() / count


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"),
    [
        (1.0, 1.0, 0),
        (0.7, 1.0, 0),
        (1.0, 0.9, 0),
        (1.5, 0.95, 0),
        (1.0, 1.0, 20),
        (0.8, 0.7, 30),
        (1.0, 0.01, 0),
        (1.0, 1.0, 1),
    ],
)
@pytest.mark.parametrize("vocabulary", [50, 2000])
def test_distribution(vocabulary: int, temperature: float, top_p: float, top_k: int) -> None:
    logits = 2 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(1))
    expected = exact(logits, temperature, top_p, top_k)
    # Every token's share of evenly spread uniforms is off by at most one of them.
    assert (
        measured(logits, temperature, top_p, top_k) - expected
    ).abs().max() <= 1.01 / 20_000 + 1e-6


def test_a_nucleus_larger_than_the_first_look() -> None:
    logits = 0.01 * torch.randn(5000, generator=torch.Generator().manual_seed(2))
    expected = exact(logits, 1.0, 0.9, 0)
    assert int((expected > 0).sum()) > 4000
    assert (measured(logits, 1.0, 0.9, 0, 4000) - expected).abs().max() <= 1.01 / 4000 + 1e-6


def test_rows_are_independent() -> None:
    generator = torch.Generator().manual_seed(3)
    logits, uniforms = (
        3 * torch.randn(9, 4000, generator=generator),
        torch.rand(9, generator=generator, dtype=torch.float64),
    )
    for options in ((1.0, 1.0, 0), (1.0, 0.9, 0), (0.5, 0.95, 40)):
        together = draw(logits, uniforms, *options)
        for i in range(9):
            alone = draw(logits[i : i + 1], uniforms[i : i + 1], *options)
            assert (
                alone.tokens[0] == together.tokens[i] and alone.logprobs[0] == together.logprobs[i]
            )


def test_greedy_edges_and_logprobs() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, -torch.inf], [0.0, 0.0, 9.0, 1.0]])
    drawn = draw(logits, torch.zeros(2, dtype=torch.float64), 0)
    assert drawn.tokens.tolist() == [1, 2]
    assert torch.allclose(drawn.logprobs, logits.log_softmax(-1)[[0, 1], [1, 2]])
    last = torch.full((2,), 1 - 2**-53, dtype=torch.float64)
    assert draw(logits, last, 1.0).tokens.tolist() == [2, 3]
    assert draw(logits, torch.zeros(2, dtype=torch.float64), 1.0, top_p=0.9).tokens.tolist()[1] == 2


@pytest.mark.parametrize("options", [(0.0, 1.0, 0), (1.0, 1.0, 0), (1.0, 0.9, 0), (1.0, 1.0, 3)])
def test_not_finite_rows_are_told(options: tuple[float, float, int]) -> None:
    logits = torch.randn(3, 2000, generator=torch.Generator().manual_seed(4))
    logits[1, 7] = torch.nan
    drawn = draw(logits, torch.full((3,), 0.5, dtype=torch.float64), *options)
    assert drawn.logprobs.isfinite().tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [(1.0,), (0.8,), (0.0,), (1.2, 0.9), (1.0, 1.0, 30)])
def test_a_large_vocabulary_is_drawn_from_in_parts(
    dtype: torch.dtype, options: tuple[float, ...]
) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = (4 * torch.randn(9, 70_000, generator=generator)).to(dtype)
    uniforms = torch.rand(9, dtype=torch.float64, generator=generator)
    together = draw(logits, uniforms, *options)  # type: ignore[arg-type]
    assert together.logprobs.dtype == torch.float32
    expected = logits.double().log_softmax(-1).gather(-1, together.tokens[:, None])[:, 0]
    assert torch.allclose(together.logprobs.double(), expected, atol=1e-5)
    for i in range(9):
        alone = draw(logits[i : i + 1].float(), uniforms[i : i + 1], *options)  # type: ignore[arg-type]
        assert torch.equal(alone.tokens[0], together.tokens[i])
        assert torch.equal(alone.logprobs[0], together.logprobs[i])


def test_no_weight_is_too_small_for_a_normal_number() -> None:
    """A CPU takes long for those. Excluded tokens keep the weight 0."""
    values = torch.cat([torch.linspace(-200, 0, 4001), torch.tensor([-torch.inf])])[None]
    found = sampling._exp(values)
    tiny = torch.finfo(torch.float32).tiny
    assert torch.all((found == 0) | (found >= tiny)) and found[0, -1] == 0
    exact = values.exp()
    assert torch.equal(found[values > -86.5], exact[values > -86.5])
    logits = torch.full((64, 300), -200.0)
    logits[:, 17], logits[:, 3] = 50.0, -torch.inf
    drawn = draw(logits, torch.zeros(64, dtype=torch.float64), 0.3)
    assert drawn.tokens.tolist() == [17] * 64 and drawn.logprobs.tolist() == [0.0] * 64
