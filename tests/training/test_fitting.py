"""The weights of head and likelihood, fitted on pairs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_trees import GOLDEN
from training_cases import QUICK, pair_rows

from rstar_fast.data import PairGroup, merge, pair_group_row, pair_groups
from rstar_fast.errors import ConfigError, DataError
from rstar_fast.ppm.model import PPM
from rstar_fast.training import TrainConfig
from rstar_fast.training.fitting import fit_likelihood, fit_weights
from rstar_fast.training.pair_accuracy import pair_differences
from rstar_fast.training.train_ppm import train_ppm


def known_groups() -> list[PairGroup]:
    """The golden pairs with log-probabilities."""
    tree = merge([GOLDEN])
    for node in tree.nodes:
        node.logprobs = (-0.5 - 0.25 * node.id,)
    return pair_groups(tree)


def test_the_weights_that_made_the_pairs_are_found() -> None:
    random = np.random.default_rng(0)
    parts = random.normal(size=(20_000, 2)) * (2.0, 3.0)
    prefers = random.random(len(parts)) < 1 / (1 + np.exp(-parts @ np.array([0.3, 0.75])))
    parts[~prefers] *= -1
    assert fit_weights(parts, np.ones(len(parts))) == pytest.approx((0.3, 0.75), abs=0.03)
    # Pairs that count twice are pairs that are there twice.
    few = parts[:500]
    twice = fit_weights(np.concatenate([few, few[:250]]), np.ones(750))
    assert fit_weights(few, np.repeat((2.0, 1.0), 250)) == pytest.approx(twice, abs=1e-4)


def test_hopeless_pairs_move_no_weight_below_zero_or_far() -> None:
    assert fit_weights(np.zeros((0, 2)), np.zeros(0)) == pytest.approx((1.0, 1.0))
    # The head is wrong in every pair.
    head, likelihood = fit_weights(np.tile((-2.0, 1.0), (50, 1)), np.ones(50))
    assert head == 0 and likelihood > 1
    # Both are right in every pair: without the prior there is no best weight.
    assert max(fit_weights(np.full((1000, 2), 5.0), np.ones(1000))) < 10
    assert all(map(np.isfinite, fit_weights(np.full((3, 2), 1e6), np.ones(3))))


def test_the_weights_are_put_into_the_ppm_and_kept_with_it(policy: Path, tmp_path: Path) -> None:
    groups = known_groups()
    rows = [pair_group_row(group) for group in groups]
    offset = TrainConfig(**QUICK, likelihood=1.0)
    fitted = TrainConfig(**QUICK, likelihood="fitted")
    train_ppm(policy, rows, tmp_path / "offset", offset)
    report = train_ppm(policy, rows, tmp_path / "fitted", fitted, fit_rows=rows)
    before, after = (PPM.from_pretrained(tmp_path / name, "cpu") for name in ("offset", "fitted"))
    groups = [group for group in groups if group.kind == "step"]
    assert report.fitted_pairs == sum(len(group.pairs) for group in groups)
    assert after.likelihood == report.likelihood != 1
    config = json.loads((tmp_path / "fitted/config.json").read_text())
    assert config["ppm_head_weight"] == report.head_weight != 1
    for one, other in zip(
        *(pair_differences(ppm, groups)[0] for ppm in (before, after)), strict=True
    ):
        assert other.value == pytest.approx(report.head_weight * one.value, abs=1e-5)
        assert other.logprob == one.logprob
    weights = fit_likelihood(before, groups)
    assert weights[:2] == pytest.approx((report.head_weight, report.likelihood), abs=1e-3)


def test_without_pairs_the_weights_stay(policy: Path, tmp_path: Path) -> None:
    rows = [pair_group_row(group) for group in known_groups()]
    config = TrainConfig(**QUICK, likelihood="fitted")
    report = train_ppm(policy, rows, tmp_path / "ppm", config)
    assert (report.head_weight, report.likelihood, report.fitted_pairs) == (1, 1, 0)
    with pytest.raises(DataError, match="log-probability of every step to fit its weight"):
        fit_likelihood(PPM.from_pretrained(tmp_path / "ppm", "cpu"), pair_groups(GOLDEN))
    with pytest.raises(ConfigError, match='likelihood: expected a number or "fitted"'):
        replace(config, likelihood="fit")  # type: ignore[arg-type]


def test_a_problem_with_many_pairs_fills_no_step_by_itself(policy: Path, tmp_path: Path) -> None:
    """A step's loss is divided by the mean weight of the steps, not by its own."""
    rows = pair_rows()
    for size in (1, 1000):
        config = TrainConfig(**{**QUICK, "batch_size": size, "learning_rate": 1e-12})
        many = [{**row, "id": f"{row['id']}-{i}"} for i in range(3) for row in rows]
        report = train_ppm(policy, many, tmp_path / str(size), config)
        assert report.steps == (3 if size == 1 else 1)
        losses = report.loss
        assert losses == pytest.approx(0.69, abs=0.05)
